package gossip

import (
	"context"
	"net/netip"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// Wait waits until the cluster is known, and in it a gossip key and an address of this Node. changed receives a value
// when the cluster may have changed.
func (g *Gossip) Wait(ctx context.Context, changed <-chan struct{}) error {
	if err := g.options.Source.WaitSynced(ctx); err != nil {
		return err
	}
	for said := ""; ; {
		g.keys.update(g.options.Source.GossipKeys(), time.Now())
		g.bind = g.address(g.options.Source.Snapshot().Nodes)
		missing := ""
		switch {
		case len(g.keys.keys) == 0:
			missing = "the Secret " + g.options.Secret + ", which the controller creates"
		case !g.bind.IsValid():
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

// address returns where this node should listen: on the fixed address, else on the Node's first one. It is not valid
// while the Node has no address.
func (g *Gossip) address(nodes []cluster.Node) netip.AddrPort {
	address := g.options.Address
	for _, n := range nodes {
		if n.Name == g.options.Member.Name && len(n.Addresses) > 0 && !address.IsValid() {
			address = n.Addresses[0]
		}
	}
	if !address.IsValid() {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(address, g.options.Port)
}

// peers returns where the other speakers listen: on each Node's first address of the family that this one listens in,
// on the same port.
func peers(nodes []cluster.Node, bind netip.AddrPort) []netip.AddrPort {
	var peers []netip.AddrPort
	for _, n := range nodes {
		for _, a := range n.Addresses {
			if a.Is4() == bind.Addr().Is4() {
				peers = append(peers, netip.AddrPortFrom(a, bind.Port()))
				break
			}
		}
	}
	return peers
}
