package probe

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/arp"
)

// ARP asks with broadcast requests who has an IPv4 address. Needs CAP_NET_RAW.
func ARP(ctx context.Context, ifname string, target netip.Addr, s Schedule) (Neighbours, error) {
	report := Neighbours{Target: target, Interface: ifname}
	if err := s.validate(); err != nil {
		return report, err
	}
	ifi, err := net.InterfaceByName(ifname)
	if err != nil {
		return report, err
	}
	source, err := ipv4Of(ifi)
	if err != nil {
		return report, err
	}
	client, err := arp.Dial(ifi)
	if err != nil {
		return report, fmt.Errorf("open ARP socket on %s: %w", ifname, err)
	}
	request, err := arp.NewPacket(arp.OperationRequest, ifi.HardwareAddr, source, make(net.HardwareAddr, 6), target)
	if err != nil {
		client.Close()
		return report, err
	}
	err = survey(ctx, &arpQuestioner{client: client, request: request}, s, &report)
	return report, err
}

func ipv4Of(ifi *net.Interface) (netip.Addr, error) {
	addrs, err := ifi.Addrs()
	if err != nil {
		return netip.Addr{}, err
	}
	for _, addr := range addrs {
		if prefix, err := netip.ParsePrefix(addr.String()); err == nil && prefix.Addr().Is4() {
			return prefix.Addr(), nil
		}
	}
	return netip.Addr{}, fmt.Errorf("%s has no IPv4 address to ask from", ifi.Name)
}

type arpQuestioner struct {
	client  *arp.Client
	request *arp.Packet
}

func (q *arpQuestioner) ask() error {
	return q.client.WriteTo(q.request, net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
}

// read passes over announcements: an answer names us as the one who asked.
func (q *arpQuestioner) read() (net.HardwareAddr, error) {
	for {
		packet, _, err := q.client.Read()
		if err != nil {
			return nil, err
		}
		if packet.Operation == arp.OperationReply &&
			packet.SenderIP == q.request.TargetIP && packet.TargetIP == q.request.SenderIP {
			return packet.SenderHardwareAddr, nil
		}
	}
}

func (q *arpQuestioner) close() error { return q.client.Close() }
