package router

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// gobgp is gobgpd.
type gobgp struct{ *Router }

const gobgpAPI = "127.0.0.1:50051"

func (g gobgp) files() (map[string]string, [][]string) {
	return map[string]string{"gobgpd.toml": g.configuration()},
		[][]string{{"gobgpd", "-f", g.path("gobgpd.toml"), "--api-hosts", gobgpAPI, "--pprof-disable"}}
}

func (g gobgp) configuration() string {
	var text strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&text, format+"\n", args...) }
	line("[global.config]\n as = %d\n router-id = %q\n local-address-list = [%q, %q]", g.ASN, g.V4, g.V4, g.V6)
	line("[global.use-multiple-paths.config]\n enabled = true")
	for _, n := range g.Neighbors {
		line("[[neighbors]]\n[neighbors.config]\n neighbor-address = %q\n peer-as = %d", n.Address, n.ASN)
		if n.Password != "" {
			line(" auth-password = %q", n.Password)
		}
		line(
			"[neighbors.timers.config]\n hold-time = %d\n keepalive-interval = %d\n connect-retry = 5",
			int(n.hold().Seconds()),
			int(n.hold().Seconds()/3),
		)
		line("[neighbors.transport.config]\n passive-mode = true")
		if n.TTLSecurity {
			line("[neighbors.ttl-security.config]\n enabled = true\n ttl-min = 255")
		}
		if n.GracefulRestart {
			line(
				"[neighbors.graceful-restart.config]\n enabled = true\n helper-only = true\n notification-enabled = true",
			)
		}
		for _, family := range []string{"ipv4-unicast", "ipv6-unicast"} {
			line("[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\n afi-safi-name = %q", family)
			if n.GracefulRestart {
				line("[neighbors.afi-safis.mp-graceful-restart.config]\n enabled = true")
			}
		}
	}
	return text.String()
}

func (g gobgp) ask(ctx context.Context, into any, command ...string) error {
	return g.asJSON(ctx, into, "gobgp", append([]string{"-j"}, command...)...)
}

func (g gobgp) sessions(ctx context.Context) ([]Session, error) {
	var found []struct {
		State struct {
			Neighbor netip.Addr `json:"neighbor_address"`
			State    int        `json:"session_state"`
			Messages struct {
				Received struct {
					Update json.Number `json:"update"`
				} `json:"received"`
			} `json:"messages"`
		} `json:"state"`
		Timers struct {
			State struct {
				Hold   json.Number `json:"negotiated_hold_time"`
				Uptime struct {
					Seconds int64 `json:"seconds"`
				} `json:"uptime"`
			} `json:"state"`
		} `json:"timers"`
	}
	if err := g.ask(ctx, &found, "neighbor"); err != nil {
		return nil, err
	}
	const established = 6 // of the enumeration in its API
	var all []Session
	for _, n := range found {
		updates, _ := n.State.Messages.Received.Update.Int64() // none is left out
		hold, _ := n.Timers.State.Hold.Float64()               // so is that of a session that is down
		s := Session{
			Neighbor:    n.State.Neighbor,
			State:       fmt.Sprint(n.State.State),
			Established: n.State.State == established,
			Updates:     int(updates),
			HoldTime:    time.Duration(hold) * time.Second,
		}
		if s.Established {
			s.Since = time.Unix(n.Timers.State.Uptime.Seconds, 0)
		}
		all = append(all, s)
	}
	return all, nil
}

// gobgpPath is a path in its JSON: attributes by their numbers in RFC 4271 and its successors.
type gobgpPath struct {
	Stale  bool       `json:"stale"`
	Source netip.Addr `json:"neighbor-ip,omitzero"`
	Attrs  []struct {
		Type    int             `json:"type"`
		Value   json.RawMessage `json:"value"`
		NextHop netip.Addr      `json:"nexthop"`
		MED     uint32          `json:"metric"`
		ASPaths []struct {
			ASNs []uint32 `json:"asns"`
		} `json:"as_paths"`
		Communities []uint32 `json:"communities"`
	} `json:"attrs"`
}

func (p gobgpPath) path() (Path, error) {
	out := Path{From: p.Source, Stale: p.Stale}
	for _, a := range p.Attrs {
		var err error
		switch a.Type {
		case 2:
			for _, s := range a.ASPaths {
				out.ASPath = append(out.ASPath, s.ASNs...)
			}
		case 3, 14:
			out.NextHop = a.NextHop
		case 4:
			out.MED, out.HasMED = a.MED, true
		case 5:
			err = json.Unmarshal(a.Value, &out.LocalPref)
		case 8:
			for _, c := range a.Communities {
				out.Communities = append(out.Communities, fmt.Sprintf("%d:%d", c>>16, c&0xffff))
			}
		case 32:
			var large []struct{ ASN, LocalData1, LocalData2 uint32 }
			err = json.Unmarshal(a.Value, &large)
			for _, l := range large {
				out.Large = append(out.Large, fmt.Sprintf("%d:%d:%d", l.ASN, l.LocalData1, l.LocalData2))
			}
		}
		if err != nil {
			return out, fmt.Errorf("attribute %d: %w", a.Type, err)
		}
	}
	return out, nil
}

// table returns the paths of a family, or of a prefix if it is valid.
func (g gobgp) table(ctx context.Context, six bool, p netip.Prefix) (map[netip.Prefix][]gobgpPath, error) {
	command := []string{"global", "rib"}
	if p.IsValid() {
		command = append(command, p.String())
	}
	found := make(map[netip.Prefix][]gobgpPath)
	err := g.ask(ctx, &found, append(command, "-a", frrFamily(six))...)
	if err != nil && strings.Contains(err.Error(), "Network not in table") {
		return nil, nil
	}
	return found, err
}

func (g gobgp) paths(ctx context.Context, p netip.Prefix) ([]Path, error) {
	found, err := g.table(ctx, p.Addr().Is6(), p)
	if err != nil {
		return nil, err
	}
	var all []Path
	for _, one := range found[p] {
		path, err := one.path()
		if err != nil {
			return nil, fmt.Errorf("a path to %s: %w", p, err)
		}
		all = append(all, path)
	}
	return all, nil
}

func (g gobgp) prefixes(ctx context.Context, six bool) ([]netip.Prefix, error) {
	found, err := g.table(ctx, six, netip.Prefix{})
	var all []netip.Prefix
	for p := range found {
		all = append(all, p)
	}
	return all, err
}
