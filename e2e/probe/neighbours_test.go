package probe

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/e2e/ether"
)

// station answers each question after a delay, from several MAC addresses.
type station struct {
	delay   time.Duration
	macs    []ether.MAC
	answers chan ether.MAC
	closed  chan struct{}
	askErr  error
}

func newStation(delay time.Duration, macs ...string) *station {
	s := &station{delay: delay, answers: make(chan ether.MAC, 100), closed: make(chan struct{})}
	for _, text := range macs {
		mac, err := net.ParseMAC(text)
		if err != nil {
			panic(err)
		}
		s.macs = append(s.macs, ether.MAC(mac))
	}
	return s
}

func (s *station) ask() error {
	for _, mac := range s.macs {
		time.AfterFunc(s.delay, func() { s.answers <- mac })
	}
	return s.askErr
}

func (s *station) read() (ether.MAC, error) {
	select {
	case mac := <-s.answers:
		return mac, nil
	case <-s.closed:
		return ether.MAC{}, net.ErrClosed
	}
}

func (s *station) close() error {
	close(s.closed)
	return nil
}

func TestSurvey(t *testing.T) {
	const first, second = "02:00:00:00:00:01", "02:00:00:00:00:02"
	const ms = time.Millisecond
	schedule := Schedule{Count: 3, Interval: 100 * ms, Wait: 500 * ms}
	untilAnswered := Schedule{Count: 50, Interval: 10 * ms, UntilAnswered: true}
	tests := []struct {
		name     string
		schedule Schedule
		station  *station
		sent     int
		answers  []Answer
		took     time.Duration
	}{
		{"nobody", schedule, newStation(0), 3, nil, 700 * ms},
		{"one", schedule, newStation(ms, first), 3, []Answer{{first, 3, ms, 201 * ms}}, 700 * ms},
		{"two", schedule, newStation(ms, second, first), 3, []Answer{{second, 3, ms, 201 * ms}, {first, 3, ms, 201 * ms}}, 700 * ms},
		{"until answered", untilAnswered, newStation(35*ms, first), 4, []Answer{{first, 1, 35 * ms, 35 * ms}}, 35 * ms},
		{"late", schedule, newStation(600*ms, first), 3, []Answer{{first, 1, 600 * ms, 600 * ms}}, 700 * ms},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test.station.answers = make(chan ether.MAC, 100)
				test.station.closed = make(chan struct{})
				report := Neighbours{Target: netip.MustParseAddr("192.0.2.1")}
				start := time.Now()
				if err := survey(t.Context(), test.station, test.schedule, &report); err != nil {
					t.Fatal(err)
				}
				// Two stations that answer at the same time may come in any order.
				byMAC := func(a, b Answer) int { return strings.Compare(b.MAC, a.MAC) }
				slices.SortFunc(report.Answers, byMAC)
				if report.Sent != test.sent || !slices.Equal(report.Answers, test.answers) {
					t.Errorf("%d sent, answers %+v, want %d, %+v", report.Sent, report.Answers, test.sent, test.answers)
				}
				if took := time.Since(start); took != test.took {
					t.Errorf("took %v, want %v", took, test.took)
				}
				time.Sleep(time.Second) // for answers that nobody waits for
			})
		})
	}
}

func TestSurveyReturnsErrorOfQuestion(t *testing.T) {
	s := newStation(0)
	s.askErr = errors.New("network is down")
	var report Neighbours
	if err := survey(t.Context(), s, Schedule{Count: 1, Interval: time.Millisecond}, &report); !errors.Is(err, s.askErr) {
		t.Errorf("survey: %v, want %v", err, s.askErr)
	}
}

func TestScheduleIsChecked(t *testing.T) {
	for _, s := range []Schedule{{}, {Count: 1}, {Count: 1, Interval: time.Millisecond, Wait: -1}} {
		if err := s.validate(); err == nil {
			t.Errorf("no error for %+v", s)
		}
	}
}

func TestOverlap(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		name    string
		answers []Answer
		want    time.Duration
	}{
		{"nobody", nil, 0},
		{"one", []Answer{{First: 0, Last: 90 * ms}}, 0},
		{"one after the other", []Answer{{First: 0, Last: 40 * ms}, {First: 50 * ms, Last: 90 * ms}}, 0},
		{"one comes before the other goes", []Answer{{First: 0, Last: 60 * ms}, {First: 50 * ms, Last: 90 * ms}}, 10 * ms},
		{"one comes and goes", []Answer{{First: 0, Last: 90 * ms}, {First: 30 * ms, Last: 50 * ms}}, 20 * ms},
		{"the longest of three", []Answer{{First: 0, Last: 90 * ms}, {First: 30 * ms, Last: 50 * ms}, {First: 60 * ms, Last: 90 * ms}}, 30 * ms},
	} {
		if got := (Neighbours{Answers: test.answers}).Overlap(); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}
