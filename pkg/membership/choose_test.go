package membership

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// parseNodes parses nodes. Each text is the name, followed by the addresses.
func parseNodes(texts ...string) (nodes []NodeAddrs) {
	for _, text := range texts {
		words := strings.Fields(text)
		n := NodeAddrs{Name: words[0]}
		for _, word := range words[1:] {
			n.Addrs = append(n.Addrs, netip.MustParseAddr(word))
		}
		nodes = append(nodes, n)
	}
	return nodes
}

// String returns Bind, Also, and the peers of a choice as text.
func (c Choice) String() string {
	text := fmt.Sprintf("%v %v;", c.Bind.Addr(), c.Also.Addr())
	for _, p := range c.Peers {
		text += " " + p.Name
		for _, a := range p.Addrs {
			text += " " + a.Addr().String()
		}
	}
	return strings.ReplaceAll(text, "invalid IP", "-")
}

func TestChoose(t *testing.T) {
	for _, test := range []struct {
		name  string
		nodes []string
		// want holds the choices of the nodes, in the same order.
		want []string
	}{
		{"IPv4 alone", []string{"a 10.0.0.1", "b 10.0.0.2"}, []string{"10.0.0.1 -; b 10.0.0.2", "10.0.0.2 -; a 10.0.0.1"}},
		{"IPv6 alone", []string{"a fd00::1", "b fd00::2"}, []string{"fd00::1 -; b fd00::2", "fd00::2 -; a fd00::1"}},
		{"two orders", []string{"a 10.0.0.1 fd00::1", "b fd00::2 10.0.0.2"},
			[]string{"10.0.0.1 fd00::1; b 10.0.0.2 fd00::2", "10.0.0.2 fd00::2; a 10.0.0.1 fd00::1"}},
		{"one has IPv4 alone", []string{"a fd00::1 10.0.0.1", "b 10.0.0.2"}, []string{"10.0.0.1 fd00::1; b 10.0.0.2", "10.0.0.2 -; a 10.0.0.1"}},
		{"one has IPv6 alone", []string{"a 10.0.0.1 fd00::1", "b fd00::2"}, []string{"fd00::1 10.0.0.1; b fd00::2", "fd00::2 -; a fd00::1"}},
		{"most have IPv4, one has IPv6 alone", []string{"a 10.0.0.1 fd00::1", "b 10.0.0.2", "c fd00::3", "d 10.0.0.4"},
			[]string{"10.0.0.1 fd00::1; b 10.0.0.2 c fd00::3 d 10.0.0.4", "10.0.0.2 -; a 10.0.0.1 c fd00::3 d 10.0.0.4",
				"fd00::3 -; a fd00::1 b 10.0.0.2 d 10.0.0.4", "10.0.0.4 -; a 10.0.0.1 b 10.0.0.2 c fd00::3"}},
		{"several addresses of one family", []string{"a 10.0.0.1 10.0.1.1", "b 10.0.1.2 10.0.0.2"},
			[]string{"10.0.0.1 -; b 10.0.1.2", "10.0.1.2 -; a 10.0.0.1"}},
		{"a node without an address", []string{"a", "b ::ffff:10.0.0.2", "c 10.0.0.3"}, []string{"- -; b 10.0.0.2 c 10.0.0.3", "10.0.0.2 -; a c 10.0.0.3",
			"10.0.0.3 -; a b 10.0.0.2"}},
		{"addresses that nobody reaches", []string{"a 0.0.0.0 10.0.0.1", "b 224.0.0.1 10.0.0.2"}, []string{"10.0.0.1 -; b 10.0.0.2", "10.0.0.2 -; a 10.0.0.1"}},
	} {
		nodes := parseNodes(test.nodes...)
		for i, n := range nodes {
			if got := Choose(n.Name, 7950, nodes).String(); got != test.want[i] {
				t.Errorf("%s: %s chooses %s, want %s", test.name, n.Name, got, test.want[i])
			}
		}
	}
	if got := Choose("x", 7950, parseNodes("a 10.0.0.1")); got.Bind.IsValid() || len(got.Peers) != 1 {
		t.Errorf("a node that is not in the list chooses %v", got)
	}
}

// TestChoicesAgree checks that nodes which know the same Nodes, in any order, agree: if two nodes have a common family,
// each node tries the other node at addresses that the other node binds, and at the main address of the other node if
// possible.
func TestChoicesAgree(t *testing.T) {
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 0))
		var nodes []NodeAddrs
		for i := range 1 + r.IntN(6) {
			n := NodeAddrs{Name: string(rune('a' + i))}
			for range r.IntN(4) {
				b := byte(r.IntN(250) + 1)
				n.Addrs = append(n.Addrs, []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(i), b}), netip.AddrFrom16([16]byte{0xfd, 14: byte(i), 15: b})}[r.IntN(2)])
			}
			nodes = append(nodes, n)
		}
		choices := map[string]Choice{}
		for _, n := range nodes {
			shuffled := slices.Clone(nodes)
			r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			c := Choose(n.Name, 7950, shuffled)
			slices.SortFunc(c.Peers, func(a, b Peer) int { return strings.Compare(a.Name, b.Name) })
			if again := Choose(n.Name, 7950, nodes); !reflect.DeepEqual(c, again) {
				t.Fatalf("seed %d: in another order %s chooses %v, not %v", seed, n.Name, c, again)
			}
			if len(n.Addrs) > 0 != c.Bind.IsValid() || len(c.Peers) != len(nodes)-1 {
				t.Fatalf("seed %d: %v chooses %v", seed, n, c)
			}
			choices[n.Name] = c
		}
		for name, c := range choices {
			for _, p := range c.Peers {
				checkPair(t, fmt.Sprintf("seed %d: %s tries %s", seed, name, p.Name), c, p, choices[p.Name])
			}
		}
	}
}

// checkPair checks the addresses at which the node with the choice own tries peer, which has the choice theirs.
func checkPair(t *testing.T, what string, own Choice, peer Peer, theirs Choice) {
	t.Helper()
	families := func(c Choice) map[bool]bool {
		all := map[bool]bool{}
		for _, a := range []netip.AddrPort{c.Bind, c.Also} {
			if a.IsValid() {
				all[a.Addr().Is4()] = true
			}
		}
		return all
	}
	common := 0
	for family := range families(own) {
		if families(theirs)[family] {
			common++
		}
	}
	for _, a := range peer.Addrs {
		if a != theirs.Bind && a != theirs.Also {
			t.Fatalf("%s at %v, where it does not listen: %v", what, a, theirs)
		}
		if common > 0 && !families(own)[a.Addr().Is4()] {
			t.Fatalf("%s at %v, of a family that the node lacks: %v", what, a, own)
		}
	}
	if common > 0 && len(peer.Addrs) != common {
		t.Fatalf("%s at %v, though they have %d families in common", what, peer.Addrs, common)
	}
	if families(own)[theirs.Bind.Addr().Is4()] && theirs.Bind.IsValid() && peer.Addrs[0] != theirs.Bind {
		t.Fatalf("%s first at %v, not at its main address %v", what, peer.Addrs, theirs.Bind)
	}
}
