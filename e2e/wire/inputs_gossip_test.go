package wire_test

import (
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lanlord/lanlord/e2e/wire"
)

const (
	gossipPort   = 7950
	gossipSecret = "lanlord-gossip"
	// saidSoon is the time after the start within which an Event must report gossip that does not pass.
	saidSoon = 20 * time.Second
	// blocked is the node whose gossip does not pass.
	blocked = 2
)

// gossipCases begin without gossip, or change what gossip needs.
func gossipCases() []inputCase {
	options := func() wire.Options { return wire.Options{IPv4: 4, IPv6: 2, Layer2: "failback: never"} }
	// Each node gossips at the first InternalIP of its Node, as where it is installed.
	first := options()
	first.Prepare = gossipAtInternalIP
	return []inputCase{
		{"nodes share the addresses although port 7950 is closed on all of them", options(), func(t *testing.T, e environment) {
			for i := range e.Nodes() {
				e.firewall(t, i, wire.Firewall{Port: gossipPort, In: true, Out: true})
			}
			e.checkDeaf(t)
		}},
		{"no address has two owners although port 7950 is closed on one node", options(), func(t *testing.T, e environment) {
			e.firewall(t, blocked, wire.Firewall{Port: gossipPort, In: true, Out: true})
			e.checkDeaf(t)
		}},
		{"no address has two owners although one node receives nothing on port 7950", options(), func(t *testing.T, e environment) {
			e.firewall(t, blocked, wire.Firewall{Port: gossipPort, In: true})
			e.checkDeaf(t)
		}},
		{"no address has two owners although one node sends nothing to port 7950", options(), func(t *testing.T, e environment) {
			e.firewall(t, blocked, wire.Firewall{Port: gossipPort, Out: true})
			e.checkDeaf(t)
		}},
		{"no address has two owners although one node lists its InternalIPs in another order", first, func(t *testing.T, e environment) {
			e.listAddresses(blocked, wire.GossipAddress(blocked).Addr(), wire.LANAddress(blocked).Addr())
			e.checkDeaf(t)
		}},
		{"no address has two owners although one node has one family only", first, func(t *testing.T, e environment) {
			for i := range e.Nodes() {
				e.listAddresses(i, wire.GossipAddress(i).Addr(), wire.LANAddress(i).Addr())
			}
			e.listAddresses(blocked, wire.LANAddress(blocked).Addr())
			e.checkDeaf(t)
		}},
		{"gossip follows a Node's InternalIP without a move", first, checkInternalIP},
		{"gossip follows a Secret that is deleted and made again without a move", options(), checkSecret},
	}
}

// gossipAtInternalIP takes the address for gossip out of a speaker's command line.
func gossipAtInternalIP(_ int, speaker *exec.Cmd) error {
	speaker.Args = slices.DeleteFunc(speaker.Args, func(a string) bool { return strings.HasPrefix(a, "--gossip-address=") })
	return nil
}

// firewall closes a port of a node from before the start of the speakers until the test ends.
func (e environment) firewall(t *testing.T, number int, f wire.Firewall) {
	t.Helper()
	mend, err := e.Impair(number, wire.Impairment{Firewall: &f}, wire.Gossip)
	e.must(err)
	t.Cleanup(func() {
		if err := mend(); err != nil {
			t.Error(err)
		}
	})
}

// checkDeaf starts speakers that hear nothing of each other in gossip, or not all of it, unless they find a way.
func (e environment) checkDeaf(t *testing.T) {
	t.Helper()
	e.putState()
	began := time.Now()
	owners := e.startAll()
	// Whoever takes another node for a foreign host waits for ten seconds before it takes an address from it.
	e.unmoved("without gossip", e.hear(12*time.Second, nothing), owners)
	e.noConflict()
	if e.unready(len(e.Nodes())) == "" {
		return // they found an address at which each of them is heard
	}
	e.says(time.Until(began.Add(saidSoon)), "gossip", e.Nodes()[blocked], "7950")
	logged := false
	for i := range e.Nodes() {
		text, err := e.Log(i)
		e.must(err)
		for line := range strings.Lines(text) {
			logged = logged || containsAll(line, []string{"gossip", e.Nodes()[blocked], "7950", "open"})
		}
	}
	if !logged {
		t.Errorf("no log says that gossip with %s does not pass and that port 7950 is to be opened", e.Nodes()[blocked])
	}
}

// checkInternalIP gives a node another address for gossip, as a renumbered network does.
func checkInternalIP(_ *testing.T, e environment) {
	for i := range e.Nodes() {
		e.listAddresses(i, wire.GossipAddress(i).Addr(), wire.LANAddress(i).Addr())
	}
	owners := e.startAll()
	e.ready(len(e.Nodes()))
	before, after := wire.GossipAddress(blocked), wire.GossipAddress(60)
	e.unmoved("after the InternalIP of a Node has changed", e.hear(watched, func() error {
		if err := e.AddAddress(blocked, "veth-gossip", after); err != nil {
			return err
		}
		e.listAddresses(blocked, after.Addr(), wire.LANAddress(blocked).Addr())
		return e.RemoveAddress(blocked, "veth-gossip", before)
	}), owners)
	e.ready(len(e.Nodes()))
	e.gossips(after.Addr(), true)
}

// gossips fails the test unless the node's speaker can be reached, or not, at an address on the port of gossip.
func (e environment) gossips(at netip.Addr, want bool) {
	e.t.Helper()
	err := e.Reach((blocked+1)%len(e.Nodes()), netip.AddrPortFrom(at, gossipPort))
	if (err == nil) != want {
		e.t.Errorf("connection to %s: %v, want it to be possible: %t", at, err, want)
	}
}

// checkSecret deletes the Secret with the keys of gossip, and creates another one with another key.
func checkSecret(t *testing.T, e environment) {
	owners := e.startAll()
	e.ready(len(e.Nodes()))
	e.unmoved("after the gossip Secret was deleted and made again", e.hear(watched, func() error {
		key := types.NamespacedName{Namespace: systemNamespace, Name: gossipSecret}
		if err := e.API().Delete("secrets", key); err != nil {
			return err
		}
		if err := wire.Pause(t.Context(), 2*time.Second); err != nil {
			return err
		}
		return e.API().Put(&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}, Type: corev1.SecretTypeOpaque,
			Data: map[string][]byte{"key-1": []byte("another key of thirty-two bytes.")},
		})
	}), owners)
	e.ready(len(e.Nodes()))
	// A speaker that was started since has no other key.
	e.unmoved("after a rollout with the new key alone", e.hear(watched, func() error { return e.Rollout(t.Context(), 1) }), owners)
	e.ready(len(e.Nodes()))
}
