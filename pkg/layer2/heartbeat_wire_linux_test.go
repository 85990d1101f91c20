package layer2

import (
	"testing"
	"time"

	"github.com/mdlayher/arp"
)

// TestWireHeartbeats sends frames to a socket for heartbeats on a real cable. Only heartbeats to this station come
// through, with the time of their arrival, and no other socket and no kernel takes notice.
func TestWireHeartbeats(t *testing.T) {
	c := newCable(t)
	p, arps := c.dial(), c.listen()
	if err := arps.narrow(newScope([]Range{pool4})); err != nil {
		t.Fatal(err)
	}
	var conn HeartbeatConn
	c.in(c.node, func() {
		var err error
		if conn, err = newHost(nil, nil).ListenHeartbeats(c.nodeNIC); err != nil {
			t.Error(err)
		}
	})
	if conn == nil {
		t.FailNow()
	}
	b := make([]byte, frameSize)
	next := func() (heartbeat, time.Duration) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			if n, waited := conn.ReadNow(b, time.Now()); n > 0 {
				h, ok := parseHeartbeat(b[:n])
				if !ok {
					t.Errorf("read %x", b[:n])
				}
				return h, waited
			}
		}
		t.Fatal("no heartbeat comes through")
		return heartbeat{}, 0
	}
	beat := func(to MAC, late time.Duration) []byte {
		frame, err := heartbeatFrame(c.clientMAC, to, late)
		if err != nil {
			t.Fatal(err)
		}
		return frame
	}
	for _, x := range []struct {
		name  string
		frame []byte
		want  bool
	}{
		{"a heartbeat", beat(c.nodeNIC.MAC, time.Second), true},
		{"a heartbeat to another station", beat(otherMAC, time.Second), false},
		{"a heartbeat to all stations", beat(broadcast, time.Second), false},
		{"a heartbeat on VLAN 7", tagged(beat(c.nodeNIC.MAC, time.Second), 7), false},
		{"a question", c.request(held4), false},
		{"a claim", arpBytes(t, arp.OperationReply, c.nodeNIC.MAC, c.clientMAC, held4, c.nodeNIC.MAC, asker4), false},
	} {
		p.send(x.frame)
		p.send(beat(c.nodeNIC.MAC, 0)) // a marker
		h, _ := next()
		if got := h.late == time.Second; got != x.want {
			t.Errorf("%s comes through: %t, want %t", x.name, got, x.want)
		}
		if h.from != c.clientMAC {
			t.Errorf("%s: from %s", x.name, h.from)
		}
		if h.late > 0 {
			next()
		}
	}
	// The question and the claim are all that the other socket takes.
	if n := arps.received(t); n != 2 {
		t.Errorf("the socket for ARP received %d frames, want the question and the claim", n)
	}
	p.send(beat(c.nodeNIC.MAC, 0))
	time.Sleep(100 * time.Millisecond)
	if _, waited := next(); waited < 100*time.Millisecond {
		t.Errorf("a heartbeat that waited for 100 ms says %s", waited)
	}
	if err := conn.WriteNow(beat(c.clientMAC, 0)); err != nil {
		t.Error(err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if err := conn.WriteNow(beat(c.clientMAC, 0)); err == nil {
		t.Error("a closed socket sends")
	}
	if n, _ := conn.ReadNow(b, time.Now()); n != 0 {
		t.Error("a closed socket reads")
	}
}
