package layer2

import (
	"net/netip"
	"testing"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"
)

// TestPeerVerdicts tells the questions and answers of other speakers from frames of clients, of foreign hosts, and of the
// kernels of other nodes.
func TestPeerVerdicts(t *testing.T) {
	foreign := MAC{0x02, 0, 0, 0, 0, 9}
	none, global := netip.IPv4Unspecified(), netip.MustParseAddr("2001:db8::3")
	asks6 := func(to MAC, from netip.Addr, sender MAC) []byte {
		return ndpBytes(t, to, sender, from, held6, solicitation(held6, lladdr(ndp.Source, sender)))
	}
	for _, c := range []struct {
		name  string
		frame []byte
		want  Verdict
	}{
		{"question", arpBytes(t, arp.OperationRequest, ourMAC, askerMAC, none, ourMAC, held4), PeerQuestion},
		{"question of a foreign host", arpBytes(t, arp.OperationRequest, ourMAC, foreign, none, ourMAC, held4), Answered},
		{"probe to all", arpBytes(t, arp.OperationRequest, broadcast, askerMAC, none, MAC{}, held4), Answered},
		{"question of a node's kernel", arpBytes(t, arp.OperationRequest, ourMAC, askerMAC, asker4, ourMAC, held4), Answered},
		{"answer", arpBytes(t, arp.OperationReply, ourMAC, askerMAC, watched4, ourMAC, none), PeerAnswer},
		{"answer of a foreign host", arpBytes(t, arp.OperationReply, ourMAC, foreign, watched4, ourMAC, none), Watched},
		{"announcement", arpBytes(t, arp.OperationReply, broadcast, askerMAC, watched4, askerMAC, watched4), PeerAnnouncement},
		{"announcement of a foreign host", arpBytes(t, arp.OperationReply, broadcast, foreign, watched4, foreign, watched4), Watched},
		{"answer for our address", arpBytes(t, arp.OperationReply, ourMAC, askerMAC, held4, ourMAC, none), Claimed},
		{"solicitation", asks6(ourMAC, asker6, askerMAC), PeerQuestion},
		{"solicitation of a foreign host", asks6(ourMAC, asker6, foreign), Answered},
		{"solicitation of a node's kernel", asks6(ourMAC, global, askerMAC), Answered},
		{"solicitation to all", nsTo(t, solicitedNode(held6), held6, lladdr(ndp.Source, askerMAC)), Answered},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := &Announcer{}
			a.SetNodes(map[MAC]string{askerMAC: "b"})
			table := testTable()
			table.nodes = &a.nodes
			var h handler = arpHandlerFor(t)
			if c.frame[ethType+1] != 6 {
				h = ndpHandlerFor(t)
			}
			reply, v, _ := h.handle(table, c.frame)
			if v != c.want || (reply != nil) != (v == Answered || v == PeerQuestion) {
				t.Errorf("%s, %d bytes of reply, want %s", v, len(reply), c.want)
			}
		})
	}
}
