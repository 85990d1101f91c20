package config

import (
	"fmt"
	"math"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

type rawAdvertisement struct {
	at          place
	length4     value[int64]
	length6     value[int64]
	localPref   value[int64]
	communities value[[]value[string]]
	// MetalLB does not have the following keys.
	peers            value[[]value[string]]
	nodeSelectors    value[[]rawSelector]
	serviceSelectors value[[]rawSelector]
	med              value[int64]
	prepend          value[int64]
}

type rawPeer struct {
	at            place
	myASN         value[int64]
	peerASN       value[remoteASN]
	address       value[string]
	source        value[string]
	port          value[int64]
	holdTime      value[time.Duration]
	keepaliveTime value[time.Duration]
	routerID      value[string]
	nodeSelectors value[[]rawSelector]
	password      value[string]
	profile       value[string]
	ebgpMultihop  value[bool]
	// MetalLB does not have the following keys.
	name            value[string]
	iface           value[string]
	addressPools    value[[]value[string]]
	passwordSecret  value[string]
	sourceInterface value[string]
	ttlSecurity     value[int64]
	gracefulRestart value[time.Duration]
}

// remoteASN is an AS number, or one of the words of RemoteAS.
type remoteASN struct {
	kind   RemoteAS
	number int64
}

type rawProfile struct {
	at           place
	name         value[string]
	receive      value[int64]
	transmit     value[int64]
	echoInterval value[int64]
	multiplier   value[int64]
	minimumTTL   value[int64]
	echoMode     value[bool]
	passive      value[bool]
}

func (r reader) advertisement(n *yaml.Node, at place) (rawAdvertisement, bool) {
	a := rawAdvertisement{at: at}
	ok := r.mapping(n, at, []field{
		{"aggregation-length", r.number(&a.length4, 0, 32)},
		{"aggregation-length-v6", r.number(&a.length6, 0, 128)},
		{"localpref", r.number(&a.localPref, 0, math.MaxUint32)},
		{"communities", r.texts(&a.communities)},
		{"peers", r.texts(&a.peers)},
		{"node-selectors", list(r, &a.nodeSelectors, r.selector)},
		{"service-selectors", list(r, &a.serviceSelectors, r.selector)},
		{"med", r.number(&a.med, 0, math.MaxUint32)},
		{"prepend", r.number(&a.prepend, 0, 10)},
	})
	return a, ok
}

func (r reader) peer(n *yaml.Node, at place) (rawPeer, bool) {
	p := rawPeer{at: at}
	ok := r.mapping(n, at, []field{
		{"my-asn", r.number(&p.myASN, 0, math.MaxUint32)},
		{"peer-asn", r.remoteASN(&p.peerASN)},
		{"peer-address", r.text(&p.address)},
		{"source-address", r.text(&p.source)},
		{"peer-port", r.number(&p.port, 0, math.MaxUint16)},
		{"hold-time", r.duration(&p.holdTime)},
		{"keepalive-time", r.duration(&p.keepaliveTime)},
		{"router-id", r.text(&p.routerID)},
		{"node-selectors", list(r, &p.nodeSelectors, r.selector)},
		{"password", r.secret(&p.password)},
		{"bfd-profile", r.text(&p.profile)},
		{"ebgp-multihop", r.boolean(&p.ebgpMultihop)},
		{"name", r.text(&p.name)},
		{"peer-interface", r.text(&p.iface)},
		{"address-pools", r.texts(&p.addressPools)},
		{"password-secret", r.text(&p.passwordSecret)},
		{"source-interface", r.text(&p.sourceInterface)},
		{"ttl-security", r.number(&p.ttlSecurity, 0, 254)},
		{"graceful-restart", r.durationOrOff(&p.gracefulRestart)},
	})
	return p, ok
}

func (r reader) profile(n *yaml.Node, at place) (rawProfile, bool) {
	p := rawProfile{at: at}
	ok := r.mapping(n, at, []field{
		{"name", r.text(&p.name)},
		{"receive-interval", r.number(&p.receive, 10, 60_000)},
		{"transmit-interval", r.number(&p.transmit, 10, 60_000)},
		{"detect-multiplier", r.number(&p.multiplier, 2, 255)},
		{"echo-interval", r.number(&p.echoInterval, 10, 60_000)},
		{"echo-mode", r.boolean(&p.echoMode)},
		{"passive-mode", r.boolean(&p.passive)},
		{"minimum-ttl", r.number(&p.minimumTTL, 1, 254)},
	})
	return p, ok
}

// protocol reads the protocol of a pool. For a list, the error names the key protocols, which accepts several
// protocols.
func (r reader) protocol(to *value[string]) read {
	text := r.text(to)
	return func(n *yaml.Node, at place) {
		if follow(n).Kind == yaml.SequenceNode {
			to.at, to.given = at, true
			r.fail(at, "must be layer2 or bgp, and is a list; write protocols: [layer2, bgp] for both")
			return
		}
		text(n, at)
	}
}

// remoteASN reads an AS number, or one of the words external and internal.
func (r reader) remoteASN(to *value[remoteASN]) read {
	return scalar(r, to, func(n *yaml.Node) (remoteASN, error) {
		for _, kind := range []RemoteAS{RemoteExternal, RemoteInternal} {
			if n.Kind == yaml.ScalarNode && n.Value == kind.String() {
				return remoteASN{kind: kind}, nil
			}
		}
		number, err := parseNumber(n, 0, math.MaxUint32, "a whole number, external or internal")
		return remoteASN{number: number}, err
	})
}

// maxSpread limits the number of nodes for spread.
const maxSpread = 1_000_000

// spread reads a number of nodes, or the word all, which means 0.
func (r reader) spread(to *value[int64]) read {
	return scalar(r, to, func(n *yaml.Node) (int64, error) {
		if n.Kind == yaml.ScalarNode && n.Value == "all" {
			return 0, nil
		}
		return parseNumber(n, 1, maxSpread, "all or a number of nodes")
	})
}

// durationOrOff reads a duration, or the word off, which means 0.
func (r reader) durationOrOff(to *value[time.Duration]) read {
	return unlessEmpty(scalar(r, to, func(n *yaml.Node) (time.Duration, error) {
		if n.Kind == yaml.ScalarNode && strings.EqualFold(n.Value, "off") {
			return 0, nil
		}
		return parseDuration(n, "a duration like 15s, or off")
	}))
}

// secret reads a text that no message may show.
func (r reader) secret(to *value[string]) read {
	return scalar(r, to, func(n *yaml.Node) (string, error) {
		switch {
		case n.Kind != yaml.ScalarNode:
			return "", fmt.Errorf("must be a text, and is %s", describe(n))
		case !isText(n):
			return "", fmt.Errorf("must be a text; write it in quotes")
		}
		return n.Value, nil
	})
}
