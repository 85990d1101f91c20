package wire

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// Network is one of the Ethernet segments.
type Network int

// The networks of every node.
const (
	// LAN has the clients and the announced addresses.
	LAN Network = iota
	// Gossip is what the speakers talk to each other over.
	Gossip
	// API has the API server.
	API

	networks = 3
)

// bridges are the names of the segments in the hub. interfaces are a node's ends: speakers leave those called veth alone.
var (
	bridges    = [networks]string{"lan", "gossip", "api"}
	interfaces = [networks]string{"eth0", "veth-gossip", "veth-api"}
)

// String returns the name.
func (n Network) String() string { return bridges[n] }

// hub is a namespace with a bridge for each network. Its switches neither learn slowly nor filter groups.
type hub struct {
	*namespace
	bridge [networks]netlink.Link
	ports  int
}

func newHub() (*hub, error) {
	n, err := newNamespace()
	if err != nil {
		return nil, err
	}
	h := &hub{namespace: n}
	for i, name := range bridges {
		off := false
		b := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}, MulticastSnooping: &off}
		if err = h.link.LinkAdd(b); err == nil {
			err = h.link.LinkSetUp(b)
		}
		if err != nil {
			h.close()
			return nil, fmt.Errorf("make bridge %s: %w", name, err)
		}
		h.bridge[i] = b
	}
	return h, nil
}

// port is the hub's end of a cable to a node or client.
type port struct {
	hub     *hub
	network Network
	end     netlink.Link
}

// plug connects a namespace to a network, with addresses on its end.
func (h *hub) plug(n *namespace, network Network, addresses ...netip.Prefix) (*port, error) {
	return h.plugAs(interfaces[network], n, network, addresses...)
}

// plugAs connects a namespace to a network with an interface of a given name.
func (h *hub) plugAs(link string, n *namespace, network Network, addresses ...netip.Prefix) (*port, error) {
	name, far := fmt.Sprintf("p%d", h.ports), fmt.Sprintf("q%d", h.ports)
	h.ports++
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: far}
	if err := h.link.LinkAdd(pair); err != nil {
		return nil, fmt.Errorf("make a cable to %s: %w", network, err)
	}
	p := &port{hub: h, network: network, end: pair}
	end, err := h.link.LinkByName(far)
	if err == nil {
		err = h.link.LinkSetNsFd(end, int(n.fd))
	}
	if err == nil {
		end, err = n.link.LinkByName(far)
	}
	if err == nil {
		err = n.link.LinkSetName(end, link)
	}
	if err == nil {
		err = n.link.LinkSetUp(end)
	}
	for _, a := range addresses {
		if err == nil {
			err = n.link.AddrAdd(end, address(a))
		}
	}
	if err == nil {
		err = h.link.LinkSetUp(pair)
	}
	if err == nil {
		err = p.join()
	}
	if err != nil {
		return nil, fmt.Errorf("plug a cable into %s: %w", network, err)
	}
	return p, nil
}

// address returns what the kernel is told of an address. It asks nobody whether they have it.
func address(p netip.Prefix) *netlink.Addr {
	a, err := netlink.ParseAddr(p.String())
	if err != nil {
		panic(err) // a Prefix is one
	}
	if p.Addr().Is6() {
		const noDAD = 0x02 // IFA_F_NODAD
		a.Flags |= noDAD
	}
	return a
}

// cut takes the port out of its switch: both ends keep their carrier and all frames are lost, as behind a switch that fails.
func (p *port) cut() error { return p.hub.link.LinkSetNoMaster(p.end) }

// join puts the port into its switch.
func (p *port) join() error { return p.hub.link.LinkSetMaster(p.end, p.hub.bridge[p.network]) }

// down takes the port's carrier away, as when the node at the other end loses its power.
func (p *port) down() error { return p.hub.link.LinkSetDown(p.end) }

// up brings it back.
func (p *port) up() error { return p.hub.link.LinkSetUp(p.end) }
