package router

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// frr is FRR: zebra, bfdd and bgpd.
type frr struct{ *Router }

func (f frr) files() (map[string]string, [][]string) {
	common := func(program string, more ...string) []string {
		return append(
			[]string{
				"/usr/lib/frr/" + program,
				"-f",
				f.path(program + ".conf"),
				"-i",
				f.path(program + ".pid"),
				"-z",
				f.path("zserv.api"),
				"--vty_socket",
				f.dir,
				"-P",
				"0",
				"--log",
				"file:" + f.path("daemon.log"),
			},
			more...)
	}
	files := map[string]string{
		"zebra.conf": "hostname router\n",
		"bfdd.conf":  f.bfdd(),
		"bgpd.conf":  f.bgpd(),
		"daemon.log": "",
	}
	return files, [][]string{
		common("zebra"), common("bfdd", "--bfdctl", f.path("bfdd.sock")), common("bgpd"),
	}
}

// begun waits until a program is connected to zebra, before the next program starts: bfdd misses sessions that bgpd
// registers earlier.
func (f frr) begun(ctx context.Context, number int) error {
	client := []string{"", "bfd", "bgp"}[number]
	return Await(ctx, startLimit, "zebra to have the client "+client, func(ctx context.Context) error {
		out, err := f.Output(ctx, "vtysh", "--vty_socket", f.dir, "-c", "show zebra client summary")
		if err == nil &&
			!slices.ContainsFunc(
				strings.Split(string(out), "\n"),
				func(l string) bool { return strings.HasPrefix(l, client) },
			) {
			err = fmt.Errorf("%s", out)
		}
		return err
	})
}

// bfdd is the configuration of bfdd: a profile for each interval.
func (f frr) bfdd() string {
	var text strings.Builder
	text.WriteString("bfd\n")
	for _, n := range f.Neighbors {
		if n.BFD > 0 {
			fmt.Fprintf(
				&text,
				" profile every-%[1]d\n  detect-multiplier 3\n  receive-interval %[1]d\n  transmit-interval %[1]d\n exit\n",
				n.BFD.Milliseconds(),
			)
		}
	}
	text.WriteString("exit\n")
	return text.String()
}

// bgpd is the configuration of bgpd.
func (f frr) bgpd() string {
	var text, activate strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&text, format+"\n", args...) }
	line("router bgp %d\n bgp router-id %s", f.ASN, f.V4)
	line(" no bgp ebgp-requires-policy\n no bgp default ipv4-unicast\n bgp bestpath as-path multipath-relax")
	for _, n := range f.Neighbors {
		name := n.Address.String()
		if n.Interface != "" {
			name = n.Interface
			line(" neighbor %s interface remote-as %d", name, n.ASN)
		} else {
			line(" neighbor %s remote-as %d", name, n.ASN)
		}
		hold := n.hold()
		line(
			" neighbor %s timers %d %d\n neighbor %[1]s timers connect 5\n neighbor %[1]s advertisement-interval 0",
			name,
			int(hold.Seconds()/3),
			int(hold.Seconds()),
		)
		if n.Password != "" {
			line(" neighbor %s password %s", name, n.Password)
		}
		if n.BFD > 0 {
			line(" neighbor %s bfd profile every-%d", name, n.BFD.Milliseconds())
		}
		if n.TTLSecurity {
			line(" neighbor %s ttl-security hops 1", name)
		}
		if !n.GracefulRestart {
			line(" neighbor %s graceful-restart-disable", name)
		}
		fmt.Fprintf(&activate, "  neighbor %s activate\n", name)
	}
	for _, family := range []string{"ipv4", "ipv6"} {
		line(
			" address-family %s unicast\n%s  maximum-paths 64\n  maximum-paths ibgp 64\n exit-address-family",
			family,
			activate.String(),
		)
	}
	line("exit")
	return text.String()
}

// ask runs a command that prints JSON.
func (f frr) ask(ctx context.Context, into any, command string) error {
	return f.asJSON(ctx, into, "vtysh", "--vty_socket", f.dir, "-c", command)
}

func (f frr) sessions(ctx context.Context) ([]Session, error) {
	var found map[string]struct {
		BGPState string `json:"bgpState"`
		Since    int64  `json:"bgpTimerUpEstablishedEpoch"`
		Hold     int    `json:"bgpTimerHoldTimeMsecs"`
		Why      string `json:"lastNotificationReason"`
		Reset    string `json:"lastResetDueTo"`
		Neighbor string `json:"bgpNeighborAddr"`
		Stats    struct {
			Updates int `json:"updatesRecv"`
		} `json:"messageStats"`
		BFD struct {
			Status string `json:"status"`
		} `json:"peerBfdInfo"`
	}
	if err := f.ask(ctx, &found, "show bgp neighbors json"); err != nil {
		return nil, err
	}
	var all []Session
	for name, n := range found {
		s := Session{
			State:       n.BGPState,
			Established: n.BGPState == "Established",
			Updates:     n.Stats.Updates,
			BFD:         n.BFD.Status,
			HoldTime:    time.Duration(n.Hold) * time.Millisecond,
			Why:         n.Why,
		}
		if s.Why == "" {
			s.Why = n.Reset
		}
		var err error
		if s.Neighbor, err = netip.ParseAddr(name); err != nil {
			s.Neighbor, _ = netip.ParseAddr(n.Neighbor) // of a session by interface; none before there is one
		}
		if s.Established {
			s.Since = time.Unix(n.Since, 0)
		}
		all = append(all, s)
	}
	return all, nil
}

// frrFamily is the family of a prefix in FRR's commands.
func frrFamily(six bool) string {
	if six {
		return "ipv6"
	}
	return "ipv4"
}

func (f frr) paths(ctx context.Context, p netip.Prefix) ([]Path, error) {
	var found struct {
		Paths []struct {
			Stale  bool `json:"stale"`
			ASPath struct {
				Segments []struct {
					List []uint32 `json:"list"`
				} `json:"segments"`
			} `json:"aspath"`
			MED       *uint32 `json:"metric"`
			LocalPref uint32  `json:"locPrf"`
			Community struct {
				String string `json:"string"`
			} `json:"community"`
			Large struct {
				String string `json:"string"`
			} `json:"largeCommunity"`
			NextHops []struct {
				IP    netip.Addr `json:"ip"`
				Scope string     `json:"scope"`
			} `json:"nexthops"`
			Peer struct {
				ID string `json:"peerId"`
			} `json:"peer"`
		} `json:"paths"`
	}
	if err := f.ask(ctx, &found, fmt.Sprintf("show bgp %s unicast %s json", frrFamily(p.Addr().Is6()), p)); err != nil {
		return nil, err
	}
	var all []Path
	for _, one := range found.Paths {
		from, err := netip.ParseAddr(one.Peer.ID)
		if err != nil {
			return nil, fmt.Errorf("a path to %s: %w", p, err)
		}
		path := Path{From: from.WithZone(""), LocalPref: one.LocalPref, Communities: communities(one.Community.String),
			Large: strings.Fields(one.Large.String), Stale: one.Stale}
		if one.MED != nil {
			path.MED, path.HasMED = *one.MED, true
		}
		for _, s := range one.ASPath.Segments {
			path.ASPath = append(path.ASPath, s.List...)
		}
		for _, h := range one.NextHops {
			if !path.NextHop.IsValid() || h.Scope != "link-local" {
				path.NextHop = h.IP
			}
		}
		all = append(all, path)
	}
	return all, nil
}

func (f frr) prefixes(ctx context.Context, six bool) ([]netip.Prefix, error) {
	var found struct {
		Routes map[netip.Prefix]any `json:"routes"`
	}
	err := f.ask(ctx, &found, fmt.Sprintf("show bgp %s unicast json", frrFamily(six)))
	var all []netip.Prefix
	for p := range found.Routes {
		all = append(all, p)
	}
	return all, err
}

// communities splits a text at spaces, and replaces the names of well-known communities by numbers.
func communities(text string) []string {
	names := map[string]string{
		"graceful-shutdown": "65535:0",
		"GRACEFUL_SHUTDOWN": "65535:0",
		"no-export":         "65535:65281",
		"NO_EXPORT":         "65535:65281",
		"no-advertise":      "65535:65282",
		"NO_ADVERTISE":      "65535:65282",
		"blackhole":         "65535:666",
		"BLACKHOLE":         "65535:666",
		"planned-shut":      "65535:0",
	}
	all := strings.Fields(text)
	for i, c := range all {
		if number, known := names[c]; known {
			all[i] = number
		}
	}
	return all
}

// hold is the hold time that is configured.
func (n Neighbor) hold() time.Duration {
	if n.HoldTime == 0 {
		return 90 * time.Second
	}
	return n.HoldTime
}
