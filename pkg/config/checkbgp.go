package config

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"
)

// rows writes the lines of a pool or a peer.
type rows struct{ out *bytes.Buffer }

// row writes a key and its values, each value on a separate line. Without values, row writes nothing.
func (b rows) row(name string, values ...string) {
	for _, value := range values {
		fmt.Fprintf(b.out, "  %-19s %s\n", name, value)
		name = ""
	}
}

// reportPeers writes every peer, and the announcements of the nodes to the peer.
func (c *Config) reportPeers(out *bytes.Buffer) {
	switch len(c.Peers) {
	case 0:
		return
	case 1:
		fmt.Fprintln(out, "\n1 peer")
	default:
		fmt.Fprintf(out, "\n%d peers\n", len(c.Peers))
	}
	for i := range c.Peers {
		fmt.Fprintln(out)
		c.Peers[i].report(out)
		rows{out}.row("announced", c.announcedTo(&c.Peers[i])...)
	}
}

func (p *Peer) report(out *bytes.Buffer) {
	b := rows{out}
	fmt.Fprintf(out, "peer %q\n", p.Name)
	b.row("router", p.routerText())
	b.row("ASN", p.asnText())
	if nodes := selectorTexts(p.NodeSelectors, "node"); len(nodes) > 0 {
		b.row("nodes", nodes...)
	} else {
		b.row("nodes", "all")
	}
	switch {
	case p.SourceAddress.IsValid():
		b.row("source-address", p.SourceAddress.String())
	case p.SourceInterface != "":
		b.row("source-interface", p.SourceInterface)
	}
	if p.RouterID.IsValid() {
		b.row("router-id", p.RouterID.String())
	}
	if p.HoldTime == 0 {
		b.row("hold-time", "none: a silent router keeps its session")
	} else {
		b.row("hold-time", fmt.Sprintf("%s, a keepalive every %s", seconds(p.HoldTime), seconds(p.KeepaliveTime)))
	}
	switch {
	case p.Password != "":
		b.row("password", "in the document")
	case p.PasswordSecret != SecretKey{}:
		b.row("password", fmt.Sprintf("key %s of Secret %s", p.PasswordSecret.Key, p.PasswordSecret.Secret))
	}
	if p.BFD != nil {
		b.row("bfd-profile", p.BFD.text(p.Multihop))
	}
	if p.GracefulRestart > 0 {
		b.row("graceful-restart", fmt.Sprintf("the router keeps routes for %s after a crash of the speaker",
			seconds(p.GracefulRestart)))
	}
	if p.Multihop {
		b.row("ebgp-multihop", "true")
	}
	switch {
	case p.TTLSecurity == 1:
		b.row("ttl-security", "1 hop")
	case p.TTLSecurity > 1:
		b.row("ttl-security", fmt.Sprintf("%d hops", p.TTLSecurity))
	}
}

func (p *Peer) routerText() string {
	text := p.Address.String()
	switch {
	case p.Gateway:
		text = "the default gateways of each node"
	case p.Interface != "":
		text = "the sender of router advertisements on " + p.Interface
	}
	if p.Port != bgpPort {
		text += fmt.Sprintf(", port %d", p.Port)
	}
	return text
}

func (p *Peer) asnText() string {
	switch {
	case p.RemoteAS == RemoteExternal:
		return fmt.Sprintf("any other than ours, which is %d (eBGP)", p.LocalASN)
	case p.internal():
		return fmt.Sprintf("%d, as ours (iBGP)", p.LocalASN)
	}
	return fmt.Sprintf("%d, ours is %d (eBGP)", p.RemoteASN, p.LocalASN)
}

func (p *BFDProfile) text(multihop bool) string {
	interval := fmt.Sprintf("%s each way", p.TransmitInterval)
	if p.TransmitInterval != p.ReceiveInterval {
		interval = fmt.Sprintf("%s, %s from the router", p.TransmitInterval, p.ReceiveInterval)
	}
	text := fmt.Sprintf("%s: a packet every %s, gone after %d missing", p.Name, interval, p.DetectMultiplier)
	if p.Passive {
		text += ", the router begins"
	}
	if multihop {
		text += fmt.Sprintf(", TTL at least %d", p.MinimumTTL)
	}
	return text
}

// announcedTo returns one line for each advertisement to the peer.
func (c *Config) announcedTo(p *Peer) []string {
	var lines []string
	for i := range c.Pools {
		pool := &c.Pools[i]
		for _, a := range pool.AdvertisementsTo(p) {
			lines = append(lines, fmt.Sprintf("pool %q: %s", pool.Name, a.text(pool, p.internal(), !p.internal())))
		}
	}
	if len(lines) == 0 {
		return []string{"nothing: no pool with protocol bgp is for this peer"}
	}
	return lines
}

// text describes the announcements: with the attributes of iBGP, of eBGP, or of both.
func (a *Advertisement) text(pool *Pool, internal, external bool) string {
	parts := []string{a.prefixes(pool)}
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if internal {
		add("localpref %d", a.LocalPref)
	}
	switch {
	case pool.Spread > 0 && a.HasMED:
		add("med %d, greater from all but %s", a.MED, nodes(pool.Spread))
	case pool.Spread > 0:
		add("med greater from all but %s", nodes(pool.Spread))
	case a.HasMED:
		add("med %d", a.MED)
	}
	if external && a.Prepend > 0 {
		add("prepend %d", a.Prepend)
	}
	var communities []string
	for _, c := range a.Communities {
		communities = append(communities, fmt.Sprintf("%d:%d", c>>16, c&0xffff))
	}
	for _, c := range a.LargeCommunities {
		communities = append(communities, c.String())
	}
	if len(communities) > 0 {
		add("communities %s", strings.Join(communities, " "))
	}
	for _, s := range []struct {
		selectors []labels.Selector
		who, what string
	}{
		{pool.NodeSelectors, "from nodes", "node"},
		{a.NodeSelectors, "from nodes", "node"},
		{a.ServiceSelectors, "for Services", "Service"},
	} {
		if len(s.selectors) > 0 {
			add("%s %s", s.who, strings.Join(selectorTexts(s.selectors, s.what), " or "))
		}
	}
	return strings.Join(parts, ", ")
}

// prefixes describes the prefixes that the advertisement announces for the addresses of the pool.
func (a *Advertisement) prefixes(pool *Pool) string {
	v4, v6 := pool.Size()
	var lengths []string
	whole := true
	for _, f := range []struct {
		some         bool
		length, bits int
	}{{v4.Sign() > 0, a.AggregationLength, 32}, {v6.Sign() > 0, a.AggregationLengthV6, 128}} {
		if f.some {
			lengths = append(lengths, fmt.Sprintf("/%d", f.length))
			whole = whole && f.length == f.bits
		}
	}
	text := strings.Join(lengths, " and ")
	if whole {
		return "each address (" + text + ")"
	}
	return "the " + text + " of each address"
}

func nodes(n int) string {
	if n == 1 {
		return "1 node"
	}
	return fmt.Sprintf("%d nodes", n)
}

// seconds returns the duration in seconds, like "90s".
func seconds(d time.Duration) string { return fmt.Sprintf("%gs", d.Seconds()) }
