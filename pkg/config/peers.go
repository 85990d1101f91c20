package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
)

const (
	// gateway is the peer-address for the default gateways of a node.
	gateway = "gateway"
	// maxPassword limits the length of a password in bytes (TCP_MD5SIG_MAXKEYLEN of Linux).
	maxPassword = 80
	// bgpPort is the port of BGP (RFC 4271, section 8).
	bgpPort = 179
)

// setPeers returns the peers. The caller sets the communities and the profiles before, and the pools later; see
// checkPeerPools.
func (b *builder) setPeers(raw value[[]rawPeer]) []Peer {
	var peers []Peer
	seen, names := map[string]place{}, map[string]place{}
	b.usedProfiles = map[string]bool{}
	for _, p := range raw.v {
		peer := b.peer(p)
		if p.name.given {
			b.checkName(p.name, p.at, "peer", names)
		}
		content := peer.key()
		if first, twice := seen[content]; twice {
			b.fail(p.at, "the peer is the same as the one on line %d; remove one of them", first.line)
			continue
		}
		seen[content] = p.at
		peers = append(peers, peer)
	}
	setNames(peers)
	b.peers = map[string]*Peer{}
	for i := range peers {
		b.peers[peers[i].Name] = &peers[i]
	}
	for _, p := range raw.v {
		// Report a bad address only once, and not again for an advertisement that names the peer.
		if _, ok := b.peers[p.address.v]; !ok && !p.name.given && !isAddress(p.address.v) {
			b.peers[p.address.v] = &Peer{}
		}
	}
	return peers
}

func isAddress(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil
}

// setNames sets the names of the peers without a name.
func setNames(peers []Peer) {
	taken := map[string]bool{}
	for i := range peers {
		taken[peers[i].Name] = true
	}
	for i := range peers {
		if peers[i].Name != "" {
			continue
		}
		router := peers[i].Router()
		name := router
		for n := 2; taken[name]; n++ {
			name = fmt.Sprintf("%s#%d", router, n)
		}
		taken[name] = true
		peers[i].Name = name
	}
}

// Router returns the router in the words of the configuration: the address, the word gateway, or the interface, each
// with the port unless the port is 179.
func (p *Peer) Router() string {
	switch {
	case p.Address.IsValid() && p.Port == bgpPort:
		return p.Address.String()
	case p.Address.IsValid():
		return netip.AddrPortFrom(p.Address, p.Port).String()
	}
	name := p.Interface
	if p.Gateway {
		name = gateway
	}
	if p.Port == bgpPort {
		return name
	}
	return fmt.Sprintf("%s:%d", name, p.Port)
}

// peer checks one peer.
func (b *builder) peer(raw rawPeer) Peer {
	b.requiredASN(raw.myASN.given, raw.myASN.ok, raw.myASN.v, raw.at, "my-asn")
	asn := raw.peerASN
	b.requiredASN(asn.given, asn.ok && asn.v.kind == RemoteExact, asn.v.number, raw.at, "peer-asn")
	p := Peer{
		Name:            raw.name.v,
		LocalASN:        uint32(raw.myASN.v),
		RemoteAS:        asn.v.kind,
		RemoteASN:       uint32(asn.v.number),
		Port:            uint16(raw.port.v),
		HoldTime:        raw.holdTime.v.Truncate(time.Second),
		KeepaliveTime:   raw.keepaliveTime.v,
		Password:        raw.password.v,
		Multihop:        raw.ebgpMultihop.v,
		TTLSecurity:     int(raw.ttlSecurity.v),
		GracefulRestart: raw.gracefulRestart.v,
	}
	b.router(raw, &p)
	b.source(raw, &p)
	b.checkTimers(raw)
	b.passwords(raw, &p)
	b.hops(raw, &p)
	if id, err := netip.ParseAddr(raw.routerID.v); raw.routerID.ok && raw.routerID.v != "" {
		if err != nil || !id.Is4() || id.IsUnspecified() {
			b.fail(raw.routerID.at,
				"%q is no router id; write one in the form of an IPv4 address, like 192.0.2.1", raw.routerID.v)
		}
		p.RouterID = id
	}
	if raw.profile.ok && raw.profile.v != "" {
		b.usedProfiles[raw.profile.v] = true
		if p.BFD = b.profiles[raw.profile.v]; p.BFD == nil {
			b.fail(raw.profile.at,
				"there is no BFD profile %q; %s", raw.profile.v, mend(raw.profile.v, b.profiles, "bfd-profiles"))
		}
	}
	for _, s := range raw.nodeSelectors.v {
		p.NodeSelectors = append(p.NodeSelectors, b.selector(s))
	}
	p.AddressPools = b.distinct(raw.addressPools, func(string) error { return nil })
	return p
}

func (b *builder) requiredASN(given, exact bool, asn int64, owner place, key string) {
	if !given || exact && asn == 0 {
		b.fail(owner, "%s is missing; write it like %s: 64512", key, key)
	}
}

// router sets the address of the router, or the other way to find the router.
func (b *builder) router(raw rawPeer, p *Peer) {
	if raw.iface.given {
		if raw.address.given {
			b.fail(raw.iface.at, "a peer has peer-address or peer-interface, and not both; remove one of them")
		}
		if raw.iface.ok {
			if err := checkInterface(raw.iface.v); err != nil {
				b.fail(raw.iface.at, "%s", err)
			}
		}
		p.Interface = raw.iface.v
		return
	}
	if !b.required(raw.address, raw.at, "peer-address", "peer-address: 192.0.2.1") {
		return
	}
	if p.Gateway = raw.address.v == gateway; p.Gateway {
		return
	}
	addr, err := netip.ParseAddr(raw.address.v)
	addr = addr.Unmap()
	switch {
	case err != nil || addr.Zone() != "" && !addr.IsLinkLocalUnicast():
		b.fail(raw.address.at, "%q is no address; write one like 192.0.2.1 or 2001:db8::1, or gateway", raw.address.v)
	case addr.IsUnspecified() || addr.IsMulticast():
		b.fail(raw.address.at, "%s cannot be the address of a router; write one like 192.0.2.1", addr)
	case addr.Is6() && addr.IsLinkLocalUnicast() && addr.Zone() == "":
		b.warn(raw.address.at,
			"a link-local address is not reached without its interface; write it like %s%%eth0", addr)
	}
	p.Address = addr
}

// source sets the local address, or the interface that provides the local address.
func (b *builder) source(raw rawPeer, p *Peer) {
	interfaceGiven := raw.sourceInterface.ok && raw.sourceInterface.v != ""
	if raw.source.ok && raw.source.v != "" {
		addr, err := netip.ParseAddr(raw.source.v)
		addr = addr.Unmap()
		switch {
		case err != nil || addr.Zone() != "":
			b.fail(raw.source.at, "%q is no address; write one like 192.0.2.1 or 2001:db8::1", raw.source.v)
		case p.Address.IsValid() && p.Address.BitLen() != addr.BitLen():
			b.fail(raw.source.at, "%s and the peer-address %s are of different families; write an address of the same "+
				"family", addr, p.Address)
		case interfaceGiven:
			b.fail(raw.sourceInterface.at,
				"a peer has source-address or source-interface, and not both; remove one of them")
		case p.Interface != "":
			b.fail(raw.source.at,
				"a peer with peer-interface uses the link-local address of the interface; remove source-address")
		}
		p.SourceAddress = addr
	}
	if interfaceGiven {
		name := raw.sourceInterface.v
		if err := checkInterfaceName(name); err != nil {
			b.fail(raw.sourceInterface.at, "%s", err)
		}
		if p.Interface != "" {
			b.fail(raw.sourceInterface.at,
				"a peer with peer-interface uses the link-local address of the interface; remove source-interface")
		}
		p.SourceInterface = name
	}
}

func checkInterfaceName(name string) error {
	if strings.ContainsAny(name, `*?[\`) {
		return fmt.Errorf("%q must be the name of one interface, without a pattern", name)
	}
	return checkInterface(name)
}

// passwords sets the password, or the Secret with the password. No message shows the password.
func (b *builder) passwords(raw rawPeer, p *Peer) {
	if len(raw.password.v) > maxPassword {
		b.fail(raw.password.at, "the password has %d bytes; TCP allows %d", len(raw.password.v), maxPassword)
	}
	if !raw.passwordSecret.ok || raw.passwordSecret.v == "" {
		return
	}
	if p.Password != "" {
		b.fail(raw.passwordSecret.at, "a peer has password or password-secret, and not both; remove one of them")
	}
	secret, key, ok := strings.Cut(raw.passwordSecret.v, "/")
	if !ok || validation.IsDNS1123Subdomain(secret) != nil || validation.IsConfigMapKey(key) != nil {
		b.fail(raw.passwordSecret.at, "%q names no key of a Secret; write the name of the Secret and the key, like "+
			"lanlord-bgp/tor-a", raw.passwordSecret.v)
		return
	}
	p.PasswordSecret = SecretKey{secret, key}
}

// hops checks the keys about the distance to the router.
func (b *builder) hops(raw rawPeer, p *Peer) {
	if !p.Multihop {
		return
	}
	switch {
	case raw.peerASN.ok && p.internal():
		b.fail(raw.ebgpMultihop.at,
			"my-asn and peer-asn are the same, so this is iBGP, which has no ebgp-multihop; remove the key")
	case p.Interface != "":
		b.fail(raw.ebgpMultihop.at, "the router of a peer-interface is one hop away; remove ebgp-multihop")
	case p.TTLSecurity > 0:
		b.fail(raw.ttlSecurity.at,
			"ttl-security and ebgp-multihop exclude each other; keep ttl-security, which names the number of hops")
	}
}

// internal reports whether the session is iBGP.
func (p *Peer) internal() bool {
	return p.RemoteAS == RemoteInternal || p.RemoteAS == RemoteExact && p.RemoteASN == p.LocalASN
}

// Restart times are 12-bit numbers of seconds (RFC 4724, section 3), and hold times are 16-bit numbers (RFC 4271,
// section 4.2).
const (
	maxRestart = 4095 * time.Second
	maxHold    = 65535 * time.Second
)

// checkTimers checks the times of a peer. BGP sends times in whole seconds. A hold time of 0 turns the hold timer off.
func (b *builder) checkTimers(raw rawPeer) {
	hold, keepalive, restart := raw.holdTime, raw.keepaliveTime, raw.gracefulRestart
	if t := hold.v.Truncate(time.Second); hold.ok && t != 0 && (t < 3*time.Second || t > maxHold) {
		b.fail(hold.at, "must be 0s, or 3s to %s, and is %s", seconds(maxHold), hold.v)
	}
	switch {
	case keepalive.ok && keepalive.v < 0:
		b.fail(keepalive.at, "must be 0s and more, and is %s", keepalive.v)
	case keepalive.ok && (hold.ok || !hold.given) && keepalive.v.Truncate(time.Second) > hold.v.Truncate(time.Second):
		b.fail(keepalive.at, "must be at most hold-time, which is %s, and is %s", hold.v, keepalive.v)
	}
	if restart.ok && restart.v != 0 && (restart.v < time.Second || restart.v > maxRestart || restart.v%time.Second != 0) {
		b.fail(restart.at, "must be off, or 1s to %s in whole seconds, and is %s", seconds(maxRestart), restart.v)
	}
}

// checkPeerPools checks the address-pools of the peers. pools maps each pool to true if the pool has protocol bgp.
func (b *builder) checkPeerPools(raw value[[]rawPeer], pools map[string]bool) {
	for _, p := range raw.v {
		for _, name := range p.addressPools.v {
			bgp, known := pools[name.v]
			switch {
			case !name.ok:
			case !known:
				b.fail(name.at, "there is no pool %q; %s", name.v, mend(name.v, pools, "address-pools"))
			case !bgp:
				b.fail(name.at, "the pool %q has no protocol bgp; add it to the protocols of the pool, or remove the "+
					"pool here", name.v)
			}
		}
	}
}

// takes reports whether the peer receives announcements of the pool.
func (p *Peer) takes(pool string) bool {
	return len(p.AddressPools) == 0 || slices.Contains(p.AddressPools, pool)
}

// key returns a text that is equal for peers of equal content, without regard to their names.
func (p *Peer) key() string {
	type plain Peer // without the method Format, which omits most fields
	rest, profile := plain(*p), ""
	if p.BFD != nil {
		profile = p.BFD.Name
	}
	rest.Name, rest.BFD, rest.NodeSelectors = "", nil, nil
	return fmt.Sprintf("%#v %q %q", rest, profile, selectorKey(p.NodeSelectors))
}

// selectorKey returns the texts of the selectors, sorted.
func selectorKey(selectors []labels.Selector) []string {
	texts := make([]string, len(selectors))
	for i, s := range selectors {
		texts[i] = s.String()
	}
	slices.Sort(texts)
	return quotedAll(texts)
}
