package membership

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"
)

// Peer is a node with a speaker that should be a member.
type Peer struct {
	// Name is the name of the node, which is also the name of the member.
	Name string
	// Addrs lists the addresses to try, one after the other.
	Addrs []netip.AddrPort
}

// Unreached is a peer that gossip does not reach.
type Unreached struct {
	Name string
	// Addr is the first address of the peer, invalid when the peer has no address.
	Addr netip.AddrPort
	// Since is the time of the first failed attempt to reach the peer.
	Since time.Time
	// Met is true when the peer was a member before, during the life of this process.
	Met bool
	// Err is the reason for the failure of the newest attempt.
	Err error
}

// String returns a sentence that tells operators what to do.
func (u Unreached) String() string {
	switch {
	case errors.Is(u.Err, errNoAddress), errors.Is(u.Err, errNoRoute):
		return fmt.Sprintf("gossip with node %s does not pass: %v", u.Name, u.Err)
	case u.Met:
		return fmt.Sprintf("node %s (%s) has left the gossip and does not come back: if it is up, %s", u.Name, u.Addr.Addr(),
			openPort(u.Addr))
	}
	return noPassage(u.Name, u.Addr)
}

// Port returns the TCP and UDP port to open, or 0 when an open port does not help.
func (u Unreached) Port() uint16 {
	if errors.Is(u.Err, errNoAddress) || errors.Is(u.Err, errNoRoute) {
		return 0
	}
	return u.Addr.Port()
}

// noPassage returns the sentence for operators about a node with which gossip does not work.
func noPassage(name string, addr netip.AddrPort) string {
	return fmt.Sprintf("gossip with node %s (%s) does not pass: %s", name, addr.Addr(), openPort(addr))
}

func openPort(addr netip.AddrPort) string {
	return fmt.Sprintf("open TCP and UDP port %d in both directions", addr.Port())
}

// equal reports whether u and o are the same.
func (u Unreached) equal(o Unreached) bool {
	return u.Name == o.Name && u.Addr == o.Addr && u.Since.Equal(o.Since) && u.Met == o.Met &&
		u.Err.Error() == o.Err.Error()
}

// The causes of failed attempts to reach a peer. Other errors are passed on unchanged.
var (
	errNoAddress = errors.New("the Node has no InternalIP")
	errNoAnswer  = errors.New("no answer")
	errRefused   = errors.New("connection refused; either no speaker runs there, or a firewall rejects it")
	errClosed    = errors.New("the node closed the connection; does its speaker use the same gossip key?")
	errOther     = errors.New("the speaker at this address is not the one of this node, or does not accept this node")
	errUnstable  = errors.New("the node joins and is lost again and again; one direction may be blocked")
)

// causeOf reduces the error of an attempt to the cause. The text of the cause is the same for equal attempts, while the
// text of err may name a local port. dialed is the error of the connection, nil if the connection succeeded.
func causeOf(err, dialed error) error {
	var timeout net.Error
	var op *net.OpError
	switch {
	case errors.As(dialed, &timeout) && timeout.Timeout():
		return errNoAnswer
	case errors.Is(dialed, syscall.ECONNREFUSED):
		return errRefused
	case errors.As(dialed, &op):
		var call *os.SyscallError
		if errors.As(op.Err, &call) {
			return call.Err
		}
		return op.Err
	case dialed != nil:
		return dialed
	}
	// memberlist does not wrap the errors of an exchange, so causeOf must check the text.
	switch text := err.Error(); {
	case strings.Contains(text, "EOF"), strings.Contains(text, "connection reset"):
		return errClosed
	case strings.Contains(text, "i/o timeout"):
		return errNoAnswer
	}
	return err
}

// combine joins the causes of the failed attempts at addrs into one error.
func combine(addrs []netip.AddrPort, causes []error) error {
	switch len(causes) {
	case 0:
		return errNoAddress
	case 1:
		return causes[0]
	}
	texts := make([]string, len(causes))
	for i, cause := range causes {
		texts[i] = fmt.Sprintf("%s: %v", addrs[i].Addr(), cause)
	}
	return errors.New(strings.Join(texts, "; "))
}

// peerTable holds the peers of one round of joining. A peerTable is immutable.
type peerTable struct {
	peers  []Peer
	byName map[string]Peer
	addrs  map[netip.Addr]struct{}
}

// newPeerTable returns the table of these peers. newPeerTable skips peers without a name, and keeps only the first peer
// of each name.
func newPeerTable(peers []Peer) *peerTable {
	t := &peerTable{byName: make(map[string]Peer, len(peers)), addrs: make(map[netip.Addr]struct{}, len(peers))}
	for _, p := range peers {
		if _, twice := t.byName[p.Name]; twice || p.Name == "" {
			continue
		}
		addrs := make([]netip.AddrPort, 0, len(p.Addrs))
		for _, a := range p.Addrs {
			if a.IsValid() {
				addrs = append(addrs, unmapped(a))
				t.addrs[a.Addr().Unmap()] = struct{}{}
			}
		}
		p.Addrs = addrs
		t.byName[p.Name] = p
		t.peers = append(t.peers, p)
	}
	return t
}

// has reports whether a peer has the address.
func (t *peerTable) has(addr netip.Addr) bool {
	_, found := t.addrs[addr]
	return found
}

// inFamily returns the first address of the named peer in a family, or an invalid address if the peer has none.
func (t *peerTable) inFamily(name string, ipv4 bool) netip.AddrPort {
	for _, a := range t.byName[name].Addrs {
		if a.Addr().Is4() == ipv4 {
			return a
		}
	}
	return netip.AddrPort{}
}
