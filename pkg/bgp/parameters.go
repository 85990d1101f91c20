package bgp

import (
	"fmt"
	"log/slog"
	"net/netip"

	"github.com/lanlord/lanlord/pkg/bgp/session"
)

// parameters are the values of a peer that cannot change without a new session. The password is one too, but is kept
// apart: the parameters go to the next process.
type parameters struct {
	LocalASN, RemoteASN uint32
	AnyExternal         bool
	Address             netip.Addr
	Interface           string
	Port                uint16
	SourceAddress       netip.Addr
	SourceInterface     string
	RouterID            netip.Addr
	TTLSecurity         int
}

func parametersOf(p Peer) parameters {
	return parameters{
		LocalASN: p.LocalASN, RemoteASN: p.RemoteASN, AnyExternal: p.AnyExternal,
		Address: p.Address, Interface: p.Interface, Port: p.Port,
		SourceAddress: p.SourceAddress, SourceInterface: p.SourceInterface,
		RouterID: p.RouterID, TTLSecurity: p.TTLSecurity,
	}
}

// peer returns a peer with the parameters and nothing to announce. Its password is not known.
func (s parameters) peer(name string) Peer {
	return Peer{
		Name: name, LocalASN: s.LocalASN, RemoteASN: s.RemoteASN, AnyExternal: s.AnyExternal,
		Address: s.Address, Interface: s.Interface, Port: s.Port,
		SourceAddress: s.SourceAddress, SourceInterface: s.SourceInterface,
		RouterID: s.RouterID, TTLSecurity: s.TTLSecurity,
		PasswordProblem: "the peer is not configured any more",
	}
}

// needsReset reports whether a peer that has changed from old to p needs a new session.
func needsReset(old, p Peer) bool {
	return parametersOf(old) != parametersOf(p) || old.Password != p.Password
}

// succeed returns p as the successor of old. While the password cannot be read, the old one stays, so that the session
// goes on as long as it lasts.
func succeed(old, p Peer) Peer {
	if p.PasswordProblem != "" {
		p.Password = old.Password
	}
	return p
}

// sessionConfig returns the parameters of the state machine.
func sessionConfig(p Peer) session.Config {
	return session.Config{
		LocalASN: p.LocalASN, RemoteASN: p.RemoteASN, AnyExternal: p.AnyExternal, RouterID: p.RouterID,
		HoldTime: p.HoldTime, KeepaliveTime: p.KeepaliveTime,
		GracefulRestart: p.GracefulRestart, ForwardingKept: p.ForwardingKept,
	}
}

// endpoint identifies the router for which only one session is to exist at a time.
type endpoint struct {
	address netip.Addr
	link    string
	port    uint16
}

func endpointOf(p Peer) endpoint {
	return endpoint{address: p.Address, link: p.Interface, port: p.Port}
}

// String returns the name and the router without the password.
func (p Peer) String() string {
	router := p.Interface
	if p.Address.IsValid() {
		router = netip.AddrPortFrom(p.Address, p.Port).String()
	}
	return fmt.Sprintf("%s (AS %d, %s, %d routes)", p.Name, p.RemoteASN, router, len(p.Routes))
}

// GoString returns the same as String, so that no way to format a Peer shows the password.
func (p Peer) GoString() string { return p.String() }

// LogValue returns the same as String.
func (p Peer) LogValue() slog.Value { return slog.StringValue(p.String()) }
