package wire_test

import (
	"flag"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lanlord/lanlord/e2e/scrape"
	"github.com/lanlord/lanlord/e2e/wire"
)

var (
	attackRate      = flag.Int("attack-rate", 10000, "frames a second of each attack on the LAN; datagrams a second of those on gossip are a tenth")
	attackLasts     = flag.Duration("attack-lasts", 3*time.Second, "how long each attack goes on")
	attackAddresses = flag.Int("attack-addresses", 24, "how many addresses there are, half of each family")
	attackOnly      = flag.String("attack", "", "the one attack to do; empty means all")
)

// counted are the counters, as patterns of their names and labels, that must grow by an attack.
var counted = map[string][]string{
	"unused":   {`requests_total{.*"ARP",verdict="notOurs"`, `requests_total{.*"NDP",verdict="notOurs"`},
	"requests": {`requests_total{.*"ARP",verdict="answered"`, `requests_total{.*"NDP",verdict="answered"`},
	"arp": {`requests_total{.*"ARP",verdict="malformed"`, `requests_total{.*"ARP",verdict="answered"`,
		`requests_total{.*"ARP",verdict="wrongDestination"`, `requests_total{.*"ARP",verdict="ownFrame"`},
	"ndp": {`requests_total{.*"NDP",verdict="malformed"`, `requests_total{.*"NDP",verdict="wrongHopLimit"`,
		`requests_total{.*"NDP",verdict="wrongChecksum"`},
	"ping": {`requests_total{.*"ICMP",verdict="answered"`, `requests_total{.*"ICMP",verdict="limited"`,
		`requests_total{.*"ICMP",verdict="wrongChecksum"`, `requests_total{.*"ICMP",verdict="unanswerable"`,
		`requests_total{.*"ICMPv6",verdict="answered"`, `requests_total{.*"ICMPv6",verdict="wrongChecksum"`,
		`requests_total{.*"ICMPv6",verdict="unanswerable"`},
	"own": {`requests_total{.*"ARP",verdict="ownFrame"`, `requests_total{.*"NDP",verdict="notRequest"`},
	"claims": {`requests_total{.*"ARP",verdict="claimed"`, `requests_total{.*"NDP",verdict="claimed"`, `layer2_claims_total{protocol="ARP"`,
		`layer2_claims_total{protocol="NDP"`, `speaker_conflicts_total{kind="stranger"`, `speaker_defences_total`},
	"rogue": {`layer2_claims_total{protocol="ARP"`, `layer2_claims_total{protocol="NDP"`, `speaker_conflicts_total{kind="stranger"`},
	"nonsense": {`membership_refused_total{reason="key"`, `membership_refused_total{reason="malformed"`,
		`membership_refused_total{reason="overflow"`},
	"replay": {`membership_refused_total{reason="key"`, `membership_refused_total{reason="malformed"`},
}

const (
	// mostUser is how much CPU time of its own a second of an attack may cost a speaker, besides what the kernel takes on its behalf. Twice what
	// is promised: on a machine that others use too, the same work takes longer.
	mostUser = 100 * time.Millisecond
	// mostEvents is how many Events an attack may cause, and one for each address besides.
	mostEvents = 100
)

// TestHostileLAN lets a host on the segment do each attack. No address changes its owner, every owner goes on answering, all is counted,
// and costs the speakers little. What is in docs/security.md is measured by it.
func TestHostileLAN(t *testing.T) {
	lab := newHostileLab(t)
	if _, err := lab.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	began := held(t, lab)
	for _, a := range wire.Attacks() {
		if *attackOnly != "" && *attackOnly != a.Name {
			continue
		}
		rate := *attackRate
		if a.Gossip {
			rate /= 10
		}
		d, err := lab.Suffer(t.Context(), a, rate, *attackLasts)
		t.Log(d)
		if err != nil {
			t.Fatal(err)
		}
		judge(t, a, d)
	}
	for i, now := range held(t, lab) {
		if before := began[i]; now.goroutines > before.goroutines+20 || now.descriptors > before.descriptors+20 || now.memory > before.memory+20<<20 {
			t.Errorf("node %d: %+v, before the attacks %+v", i, now, before)
		}
	}
}

func judge(t *testing.T, a wire.Attack, d wire.Damage) {
	t.Helper()
	if d.Frames < 100 || d.Asked == 0 || !a.Misleads && d.Sent < 100 {
		t.Errorf("%s: %d frames, %d questions, %d pings: that is no attack, or nobody looked", a.Name, d.Frames, d.Asked, d.Sent)
	}
	if len(d.Moved) > 0 || d.Changes > 0 {
		t.Errorf("%s: a stranger's frames have moved %v, with %.0f changes of ownership", a.Name, d.Moved, d.Changes)
	}
	// Some questions are lost with frames that a full buffer drops; a client asks again.
	if d.Missing > d.Asked/4 {
		t.Errorf("%s: %d of %d questions were not answered by the owner", a.Name, d.Missing, d.Asked)
	}
	if d.Gap > 2*time.Second || d.Lost > d.Sent/4 {
		t.Errorf("%s: a client had no answer for %v, and lost %d of %d pings", a.Name, d.Gap, d.Lost, d.Sent)
	}
	if d.User > mostUser {
		t.Errorf("%s: cost %v of CPU a second beside the kernel's, at most %v", a.Name, d.User, mostUser)
	}
	events := 0.0
	for name, n := range d.Counted {
		if strings.HasPrefix(name, "lanlord_events_total") {
			events += n
		}
	}
	if most := float64(mostEvents + *attackAddresses); events > most {
		t.Errorf("%s: caused %.0f Events, at most %.0f", a.Name, events, most)
	}
	for _, want := range counted[a.Name] {
		pattern, sum := regexp.MustCompile(want), 0.0
		for name, n := range d.Counted {
			if pattern.MatchString(name) {
				sum += n
			}
		}
		if sum == 0 {
			t.Errorf("%s: nothing is counted as %s", a.Name, want)
		}
	}
}

// holding is what a process has.
type holding struct{ goroutines, descriptors, memory int }

// held returns what each speaker has.
func held(t *testing.T, lab *wire.Lab) (all []holding) {
	t.Helper()
	for i := range lab.Nodes() {
		text, err := lab.Get(t.Context(), i, "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		value := func(name string) int {
			v, err := scrape.Value(text, name)
			if err != nil {
				t.Fatal(err)
			}
			return int(v)
		}
		all = append(all, holding{value("go_goroutines"), value("process_open_fds"), value("process_resident_memory_bytes")})
	}
	return all
}

// newHostileLab makes a laboratory of three nodes that answer pings.
func newHostileLab(t *testing.T) *wire.Lab {
	t.Helper()
	return newLabWith(t, wire.Options{
		Speaker: buildSpeaker(t), IPv4: *attackAddresses / 2, IPv6: *attackAddresses / 2, Layer2: "failback: never", Ping: true,
	})
}
