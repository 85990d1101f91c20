package gossip

import (
	"context"
	"net/netip"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/membership"
)

// Wait waits until the snapshot has Nodes, a gossip key and an address of this Node. changed receives a value after
// each possible change of the cluster.
func (g *Gossip) Wait(ctx context.Context, changed <-chan struct{}) error {
	if err := g.options.Source.WaitSynced(ctx); err != nil {
		return err
	}
	for said := ""; ; {
		g.keys.update(g.options.Source.GossipKeys(), time.Now())
		g.at = listening(g.choose(g.options.Source.Snapshot().Nodes))
		missing := ""
		switch {
		case len(g.keys.keys) == 0:
			missing = "the Secret " + g.options.Secret + ", which the controller creates"
		case !g.at.bind.IsValid():
			missing = "an InternalIP of the Node " + g.options.Member.Name
		default:
			return nil
		}
		if missing != said {
			g.log.Info("waiting", "for", missing)
			said = missing
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// choose returns the addresses on which this node listens, and the addresses of the other speakers. A fixed address
// replaces the addresses of this Node, and this node then uses only the family of the fixed address. Bind is not valid
// while the Node has no address.
func (g *Gossip) choose(nodes []cluster.Node) membership.Choice {
	list := make([]membership.NodeAddrs, 0, len(nodes))
	for _, n := range nodes {
		addrs := n.Addresses
		if n.Name == g.options.Member.Name && g.options.Address.IsValid() {
			addrs = []netip.Addr{g.options.Address}
		}
		list = append(list, membership.NodeAddrs{Name: n.Name, Addrs: addrs})
	}
	c := membership.Choose(g.options.Member.Name, g.options.Port, list)
	if g.options.Address.IsValid() && !c.Bind.IsValid() {
		c.Bind = netip.AddrPortFrom(g.options.Address, g.options.Port) // the Node does not exist yet
	}
	return c
}

// addresses holds the two addresses on which this node listens; also may be invalid.
type addresses struct{ bind, also netip.AddrPort }

func listening(c membership.Choice) addresses { return addresses{c.Bind, c.Also} }
