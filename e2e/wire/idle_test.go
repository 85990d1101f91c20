package wire_test

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lanlord/lanlord/e2e/wire"
)

// byClients are the counters of what clients and foreign hosts do.
var byClients = regexp.MustCompile(`^lanlord_(layer2_(requests|claims)|speaker_(conflicts|defences))_total`)

// peerProbes counts the questions of speakers to each other that got an answer.
const peerProbes = "lanlord_layer2_probes_total"

// TestIdleClusterHasNoClients lets three speakers watch each other, by IPv4 and by IPv6, while no client asks. The
// speakers count the questions to each other, and neither requests of clients nor conflicts.
func TestIdleClusterHasNoClients(t *testing.T) {
	speaker := buildSpeaker(t)
	for protocol, o := range map[string]wire.Options{"ARP": {IPv4: 4}, "NDP": {IPv6: 4}} {
		t.Run(protocol, func(t *testing.T) {
			o.Speaker = speaker
			lab := newLabWith(t, o)
			if _, err := lab.Settle(t.Context()); err != nil {
				t.Fatal(err)
			}
			all := func() (now []map[string]float64) {
				for number := range lab.Nodes() {
					now = append(now, counters(t, lab, number))
				}
				return now
			}
			before := all()
			now := before
			for end := time.Now().Add(time.Minute); !allAnswered(before, now); now = all() {
				if time.Now().After(end) {
					t.Fatal("the nodes do not get 30 answers to their questions in a minute")
				}
				time.Sleep(100 * time.Millisecond)
			}
			const frames = "lanlord_layer2_peer_frames_total"
			var questions, answers float64
			for number := range now {
				for series, n := range now[number] {
					if n > before[number][series] && byClients.MatchString(series) {
						t.Errorf("node %d counts %s from %v to %v, and there is no client", number, series, before[number][series], n)
					}
				}
				questions += grown(before[number], now[number], frames+`{frame="question",protocol="`+protocol+`"`)
				answers += grown(before[number], now[number], frames+`{frame="answer",protocol="`+protocol+`"`)
			}
			if questions < 50 || answers < 50 {
				t.Errorf("the nodes count %v questions and %v answers of each other", questions, answers)
			}
		})
	}
}

// allAnswered reports whether each node has got 30 answers to its questions.
func allAnswered(before, now []map[string]float64) bool {
	for i := range now {
		if grown(before[i], now[i], peerProbes) < 30 {
			return false
		}
	}
	return true
}

// counters returns the series of a speaker.
func counters(t *testing.T, lab *wire.Lab, number int) map[string]float64 {
	t.Helper()
	text, err := lab.Get(t.Context(), number, "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for line := range strings.Lines(text) {
		if series, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && series != "#" {
			if all[series], err = strconv.ParseFloat(value, 64); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
		}
	}
	return all
}

// grown returns the growth of all series that begin with prefix.
func grown(before, now map[string]float64, prefix string) (sum float64) {
	for series, n := range now {
		if strings.HasPrefix(series, prefix) {
			sum += n - before[series]
		}
	}
	return sum
}
