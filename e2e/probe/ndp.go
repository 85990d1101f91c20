package probe

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/ndp"
	"golang.org/x/net/ipv6"
)

// NDP asks with neighbour solicitations, sent to the solicited-node group
// (RFC 4861 section 7.2.2), who has an IPv6 address. Needs CAP_NET_RAW.
func NDP(ctx context.Context, ifname string, target netip.Addr, s Schedule) (Neighbours, error) {
	report := Neighbours{Target: target, Interface: ifname}
	if err := s.validate(); err != nil {
		return report, err
	}
	ifi, err := net.InterfaceByName(ifname)
	if err != nil {
		return report, err
	}
	group, err := ndp.SolicitedNodeMulticast(target)
	if err != nil {
		return report, err
	}
	conn, _, err := ndp.Listen(ifi, ndp.LinkLocal)
	if err != nil {
		return report, fmt.Errorf("open NDP socket on %s: %w", ifname, err)
	}
	var filter ipv6.ICMPFilter
	filter.SetAll(true)
	filter.Accept(ipv6.ICMPTypeNeighborAdvertisement)
	if err := conn.SetICMPFilter(&filter); err != nil {
		conn.Close()
		return report, err
	}
	solicitation := &ndp.NeighborSolicitation{
		TargetAddress: target,
		Options:       []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: ifi.HardwareAddr}},
	}
	err = survey(ctx, &ndpQuestioner{conn: conn, solicitation: solicitation, group: group}, s, &report)
	return report, err
}

type ndpQuestioner struct {
	conn         *ndp.Conn
	solicitation *ndp.NeighborSolicitation
	group        netip.Addr
}

func (q *ndpQuestioner) ask() error { return q.conn.WriteTo(q.solicitation, nil, q.group) }

// read passes over unsolicited advertisements. An answer to a multicast
// solicitation must carry the target's link-layer address (RFC 4861 section 7.2.4).
func (q *ndpQuestioner) read() (net.HardwareAddr, error) {
	for {
		message, _, _, err := q.conn.ReadFrom()
		if err != nil {
			return nil, err
		}
		advertisement, ok := message.(*ndp.NeighborAdvertisement)
		if !ok || !advertisement.Solicited || advertisement.TargetAddress != q.solicitation.TargetAddress {
			continue
		}
		for _, option := range advertisement.Options {
			if address, ok := option.(*ndp.LinkLayerAddress); ok && address.Direction == ndp.Target {
				return address.Addr, nil
			}
		}
	}
}

func (q *ndpQuestioner) close() error { return q.conn.Close() }
