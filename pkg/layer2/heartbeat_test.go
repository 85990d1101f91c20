package layer2

import (
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/mdlayher/arp"
)

// TestHeartbeatFrame encodes the lateness of heartbeats, and parses what was encoded.
func TestHeartbeatFrame(t *testing.T) {
	for _, c := range []struct{ late, want time.Duration }{
		{0, 0},
		{-time.Second, 0},
		{time.Millisecond, time.Millisecond},
		{1500 * time.Nanosecond, time.Microsecond},
		{math.MaxUint32 * time.Microsecond, math.MaxUint32 * time.Microsecond},
		{1000 * time.Hour, math.MaxUint32 * time.Microsecond},
	} {
		frame, err := heartbeatFrame(ourMAC, askerMAC, c.late)
		if err != nil {
			t.Fatal(err)
		}
		if MAC(frame[ethDestination:]) != askerMAC || MAC(frame[ethSource:]) != ourMAC {
			t.Errorf("heartbeat from %s to %s", MAC(frame[ethSource:]), MAC(frame[ethDestination:]))
		}
		if got, ok := parseHeartbeat(frame); !ok || got != (heartbeat{ourMAC, c.want}) {
			t.Errorf("%s: parsed %+v, %t", c.late, got, ok)
		}
		if _, v, claim := arpHandlerFor(t).handle(fuzzTable(), frame); v == Answered || claim.Addr.IsValid() {
			t.Errorf("%s: the handler of ARP takes a heartbeat for a question or a claim: %s, %+v", c.late, v, claim)
		}
	}
}

// FuzzHeartbeat parses every frame. A parsed frame comes from one station, and equals the encoded result but for the
// fields that have no meaning.
func FuzzHeartbeat(f *testing.F) {
	frame, err := heartbeatFrame(ourMAC, askerMAC, 7*time.Millisecond)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(frame)
	f.Add(frame[:arpEnd])
	f.Add(frame[:arpEnd-1])
	f.Add(patched(frame, arpSenderMAC, 0xff))
	f.Add(arpBytes(f, arp.OperationRequest, broadcast, askerMAC, netip.IPv4Unspecified(), MAC{}, held4))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, ok := parseHeartbeat(b)
		if !ok {
			return
		}
		if h.from.multicast() || h.from == (MAC{}) {
			t.Errorf("from %s", h.from)
		}
		again, err := heartbeatFrame(h.from, askerMAC, h.late)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := parseHeartbeat(again); !ok || got != h {
			t.Errorf("%+v became %+v", h, got)
		}
	})
}
