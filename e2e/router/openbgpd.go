package router

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// openbgpd is OpenBGPD.
type openbgpd struct{ *Router }

// openbgpdHome is the root directory of the unprivileged processes.
const openbgpdHome = "/run/openbgpd"

func (o openbgpd) files() (map[string]string, [][]string) {
	return map[string]string{
			"bgpd.conf": o.configuration(),
		}, [][]string{
			{"/usr/sbin/bgpd", "-d", "-f", o.path("bgpd.conf")},
		}
}

func (o openbgpd) configuration() string {
	var text strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&text, format+"\n", args...) }
	line(
		"AS %d\nrouter-id %s\nfib-update no\nlisten on %s\nlisten on %s\nsocket %q",
		o.ASN,
		o.V4,
		o.V4,
		o.V6,
		o.path("ctl"),
	)
	if o.Options.Address.IsValid() {
		line("listen on %s", o.Options.Address)
	}
	for _, n := range o.Neighbors {
		line(
			"neighbor %s {\n remote-as %d\n announce IPv4 unicast\n announce IPv6 unicast\n holdtime %d",
			n.Address,
			n.ASN,
			int(n.hold().Seconds()),
		)
		if n.Password != "" {
			line(" tcp md5sig password %q", n.Password)
		}
		if n.TTLSecurity {
			line(" ttl-security yes")
		}
		restart := "no"
		if n.GracefulRestart {
			restart = "yes"
		}
		line(" announce restart %s\n}", restart)
	}
	line("allow from any")
	return text.String()
}

func (o openbgpd) ask(ctx context.Context, into any, command ...string) error {
	return o.asJSON(ctx, into, "/usr/sbin/bgpctl", append([]string{"-s", o.path("ctl"), "-j"}, command...)...)
}

func (o openbgpd) sessions(ctx context.Context) ([]Session, error) {
	var found struct {
		Neighbors []struct {
			Address netip.Addr `json:"remote_addr"`
			State   string     `json:"state"`
			Up      float64    `json:"last_updown_sec"`
			Why     string     `json:"last_error_received"`
			Sent    string     `json:"last_error_sent"`
			Hold    int        `json:"holdtime"`
			Stats   struct {
				Message struct {
					Received struct {
						Updates int `json:"updates"`
					} `json:"received"`
				} `json:"message"`
			} `json:"stats"`
		} `json:"neighbors"`
	}
	if err := o.ask(ctx, &found, "show", "neighbor"); err != nil {
		return nil, err
	}
	var all []Session
	for _, n := range found.Neighbors {
		s := Session{
			Neighbor:    n.Address,
			State:       n.State,
			Established: n.State == "Established",
			HoldTime:    time.Duration(n.Hold) * time.Second,
			Updates:     n.Stats.Message.Received.Updates,
			Why:         n.Why,
		}
		if s.Why == "" {
			s.Why = n.Sent
		}
		if s.Established {
			s.Since = time.Now().Add(-time.Duration(n.Up * float64(time.Second)))
		}
		all = append(all, s)
	}
	return all, nil
}

// openbgpdRoute is a path of "show rib detail".
type openbgpdRoute struct {
	Prefix    netip.Prefix `json:"prefix"`
	ASPath    string       `json:"aspath"`
	NextHop   netip.Addr   `json:"exit_nexthop"`
	MED       uint32       `json:"metric"`
	LocalPref uint32       `json:"localpref"`
	Neighbor  struct {
		Address netip.Addr `json:"remote_addr"`
	} `json:"neighbor"`
	Communities []string `json:"communities"`
	Large       []string `json:"large_communities"`
	Stale       bool     `json:"stale"`
}

func (o openbgpd) routes(ctx context.Context, command ...string) ([]openbgpdRoute, error) {
	var found struct {
		RIB []openbgpdRoute `json:"rib"`
	}
	err := o.ask(ctx, &found, append([]string{"show", "rib"}, command...)...)
	return found.RIB, err
}

func (o openbgpd) paths(ctx context.Context, p netip.Prefix) ([]Path, error) {
	routes, err := o.routes(ctx, "detail", p.String())
	if err != nil {
		return nil, err
	}
	var all []Path
	for _, one := range routes {
		if one.Prefix != p {
			continue
		}
		path := Path{
			From:      one.Neighbor.Address,
			NextHop:   one.NextHop,
			MED:       one.MED,
			HasMED:    one.MED != 0,
			LocalPref: one.LocalPref,
			Large:     one.Large,
			Stale:     one.Stale,
		}
		for _, c := range one.Communities {
			path.Communities = append(path.Communities, communities(c)...)
		}
		for _, n := range strings.Fields(one.ASPath) {
			asn, err := number(n)
			if err != nil {
				return nil, err
			}
			path.ASPath = append(path.ASPath, asn)
		}
		all = append(all, path)
	}
	return all, nil
}

func (o openbgpd) prefixes(ctx context.Context, six bool) ([]netip.Prefix, error) {
	routes, err := o.routes(ctx)
	var all []netip.Prefix
	for _, one := range routes {
		if one.Prefix.Addr().Is6() == six {
			all = append(all, one.Prefix)
		}
	}
	return slices.Clip(all), err
}
