package wire

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lanlord/lanlord/e2e/apiserver"
)

// Changes of a node's machine and of the objects, which tests make before the speakers start or while they run.

// API returns the API server that stands in for a real one, nil if [Options.Server] is another one.
func (l *Lab) API() *apiserver.Server {
	if s, ok := l.server.(Scripted); ok {
		return s.Server
	}
	return nil
}

// Addresses returns the addresses that the laboratory's own Services have.
func (l *Lab) Addresses() []netip.Addr { return l.addrs }

// ServiceKey returns the name of a Service of the laboratory, counted from 0. Its EndpointSlice is called so with "-1" added.
func ServiceKey(number int) types.NamespacedName {
	return types.NamespacedName{Namespace: appNamespace, Name: serviceName(number)}
}

// AddService creates a Service that has an address, and an endpoint for it.
func (l *Lab) AddService(number int, a netip.Addr) error {
	return l.server.Put(serviceObjects(number, a)...)
}

// PoolAddress returns an address of the pool by its number, from the end of the pool so that no Service of the laboratory has it.
func PoolAddress(number int, six bool) netip.Addr {
	if six {
		return host(services6, mostAddresses+number).Addr()
	}
	return host(services4, mostAddresses+number).Addr()
}

// LANAddress returns the address of a node in the LAN. Nodes are counted from 0, and the addresses of those that do not exist are free.
func LANAddress(number int) netip.Prefix { return host(lan4, firstNode+number) }

// LANAddress6 returns the other one, of IPv6.
func LANAddress6(number int) netip.Prefix { return host(lan6, firstNode+number) }

// APIAddress returns the address from which a node speaks to the API server.
func APIAddress(number int) netip.Addr { return host(api4, firstNode+number).Addr() }

// GossipAddress returns the address at which a node gossips unless its command line says something else.
func GossipAddress(number int) netip.Prefix { return host(gossip6, firstNode+number) }

// AddAddress gives a node's kernel an address on one of its links.
func (l *Lab) AddAddress(number int, link string, a netip.Prefix) error {
	return l.onLink(number, link, func(n *node, end netlink.Link) error { return n.link.AddrAdd(end, address(a)) })
}

// RemoveAddress takes an address from a node's kernel.
func (l *Lab) RemoveAddress(number int, link string, a netip.Prefix) error {
	return l.onLink(number, link, func(n *node, end netlink.Link) error { return n.link.AddrDel(end, address(a)) })
}

func (l *Lab) onLink(number int, name string, f func(*node, netlink.Link) error) error {
	n := l.nodes[number]
	end, err := n.link.LinkByName(name)
	if err == nil {
		err = f(n, end)
	}
	if err != nil {
		return fmt.Errorf("%s of %s: %w", name, n.name, err)
	}
	return nil
}

// AddCable gives a node a link with a carrier that leads nowhere, as to a network of which no other node is part.
func (l *Lab) AddCable(number int, name string, addresses ...netip.Prefix) error {
	n := l.nodes[number]
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: fmt.Sprintf("veth%d", l.hub.ports)}
	l.hub.ports++
	if err := n.link.LinkAdd(pair); err != nil {
		return fmt.Errorf("add %s to %s: %w", name, n.name, err)
	}
	far, err := n.link.LinkByName(pair.PeerName)
	if err == nil {
		err = n.link.LinkSetUp(far)
	}
	if err != nil {
		return err
	}
	return l.raise(number, name, addresses)
}

// AddBridge gives a node a bridge with one port, as an engine for containers makes.
func (l *Lab) AddBridge(number int, name string, addresses ...netip.Prefix) error {
	n := l.nodes[number]
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}}
	if err := n.link.LinkAdd(bridge); err != nil {
		return fmt.Errorf("add %s to %s: %w", name, n.name, err)
	}
	inside := fmt.Sprintf("veth-c%d", l.hub.ports)
	if err := l.AddCable(number, inside); err != nil {
		return err
	}
	end, err := n.link.LinkByName(inside)
	if err == nil {
		err = n.link.LinkSetMaster(end, bridge)
	}
	if err != nil {
		return err
	}
	return l.raise(number, name, addresses)
}

// AddMacvlan gives a node a link with a MAC address of its own on top of its link to the LAN.
func (l *Lab) AddMacvlan(number int, name string, addresses ...netip.Prefix) error {
	err := l.onLink(number, interfaces[LAN], func(n *node, parent netlink.Link) error {
		return n.link.LinkAdd(&netlink.Macvlan{LinkAttrs: netlink.LinkAttrs{Name: name, ParentIndex: parent.Attrs().Index},
			Mode: netlink.MACVLAN_MODE_BRIDGE})
	})
	if err != nil {
		return err
	}
	return l.raise(number, name, addresses)
}

// AddLAN gives a node a second link to the LAN.
func (l *Lab) AddLAN(number int, name string, addresses ...netip.Prefix) error {
	_, err := l.hub.plugAs(name, l.nodes[number].namespace, LAN, addresses...)
	return err
}

// raise switches a link on, and gives it addresses.
func (l *Lab) raise(number int, name string, addresses []netip.Prefix) error {
	return l.onLink(number, name, func(n *node, end netlink.Link) error {
		err := n.link.LinkSetUp(end)
		for _, a := range addresses {
			if err == nil {
				err = n.link.AddrAdd(end, address(a))
			}
		}
		return err
	})
}

// LinkMAC returns the MAC address of a node's link.
func (l *Lab) LinkMAC(number int, name string) (mac MAC, err error) {
	err = l.onLink(number, name, func(_ *node, end netlink.Link) error {
		mac = MAC(end.Attrs().HardwareAddr)
		return nil
	})
	return mac, err
}

// Log returns what all speakers of a node have written so far.
func (l *Lab) Log(number int) (string, error) { return l.nodes[number].log() }

// Reach opens a TCP connection from a node to an address, and closes it.
func (l *Lab) Reach(number int, to netip.AddrPort) error {
	return l.nodes[number].do(func() error {
		conn, err := net.DialTimeout("tcp", to.String(), time.Second)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}
