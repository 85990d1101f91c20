package router

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// bird is BIRD 2.
type bird struct{ *Router }

func (b bird) files() (map[string]string, [][]string) {
	return map[string]string{"bird.conf": b.configuration()},
		[][]string{{"bird", "-f", "-c", b.path("bird.conf"), "-s", b.path("ctl"), "-P", b.path("pid")}}
}

func (b bird) configuration() string {
	var text strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&text, format+"\n", args...) }
	line("log %q all;\nrouter id %s;\ntimeformat protocol iso long ms;", b.path("log"), b.V4)
	line("protocol device { scan time 10; }\nprotocol bfd { accept direct; %s}", b.bfd())
	line("protocol kernel k4 { ipv4 { import none; export all; }; merge paths yes; }")
	line("protocol kernel k6 { ipv6 { import none; export all; }; merge paths yes; }")
	for i, n := range b.Neighbors {
		line(
			"protocol bgp n%d {\n local %s as %d;\n neighbor %s as %d;\n ipv4 { import all; export none; gateway direct; extended next hop on; };\n"+
				" ipv6 { import all; export none; gateway direct; };",
			i,
			b.local(n),
			b.ASN,
			n.Address,
			n.ASN,
		)
		line(
			" hold time %d;\n connect delay time 1;\n connect retry time 5;\n error wait time 1, 2;",
			int(n.hold().Seconds()),
		)
		if n.ASN == b.ASN {
			line(" direct;")
		}
		if n.Password != "" {
			line(" password %q;", n.Password)
		}
		if n.BFD > 0 {
			line(" bfd on;")
		}
		if n.TTLSecurity {
			line(" ttl security on;")
		}
		if n.GracefulRestart {
			line(" graceful restart aware;")
		} else {
			line(" graceful restart off;")
		}
		line("}")
	}
	return text.String()
}

// bfd has one interval for all neighbours.
func (b bird) bfd() string {
	for _, n := range b.Neighbors {
		if n.BFD > 0 {
			return fmt.Sprintf(`interface "*" { interval %d ms; multiplier 3; }; `, n.BFD.Milliseconds())
		}
	}
	return ""
}

// ask returns the lines that birdc prints for a command; none for a prefix that there is not.
func (b bird) ask(ctx context.Context, command ...string) ([]string, error) {
	text, err := b.Output(ctx, "birdc", append([]string{"-s", b.path("ctl")}, command...)...)
	if bytes.Contains(text, []byte("Network not found")) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var lines []string
	for scanner := bufio.NewScanner(bytes.NewReader(text)); scanner.Scan(); {
		lines = append(lines, scanner.Text())
	}
	if len(lines) == 0 || !strings.HasPrefix(lines[0], "BIRD ") {
		return nil, fmt.Errorf("birdc %q: %.200s", command, text)
	}
	return lines[1:], nil
}

// birdTime is the form of times, in the machine's zone.
const birdTime = "2006-01-02 15:04:05.000"

func (b bird) sessions(ctx context.Context) ([]Session, error) {
	lines, err := b.ask(ctx, "show", "protocols", "all")
	if err != nil {
		return nil, err
	}
	var all []Session
	var now *Session
	for _, l := range lines {
		fields := strings.Fields(l)
		switch {
		case len(fields) == 0:
			now = nil
		case l[0] != ' ':
			now = nil
			if len(fields) > 6 && fields[1] == "BGP" {
				all = append(
					all,
					Session{State: strings.Join(fields[6:], " "), Established: fields[6] == "Established", Updates: -1},
				)
				now = &all[len(all)-1]
				if since, err := time.ParseInLocation(birdTime, fields[4]+" "+fields[5], time.Local); err == nil &&
					now.Established {
					now.Since = since
				}
			}
		case now == nil:
		case strings.HasPrefix(l, "    Neighbor address: "):
			if now.Neighbor, err = netip.ParseAddr(fields[2]); err != nil {
				return nil, err
			}
		case strings.HasPrefix(l, "    Last error: "):
			now.Why = strings.Join(fields[2:], " ")
		case strings.HasPrefix(l, "      Hold timer: "):
			if _, hold, ok := strings.Cut(fields[2], "/"); ok {
				seconds, _ := strconv.Atoi(hold) // 0 is for those that do not say
				now.HoldTime = time.Duration(seconds) * time.Second
			}
		}
	}
	return all, b.addBFD(ctx, all)
}

// addBFD fills in the states of the BFD sessions.
func (b bird) addBFD(ctx context.Context, all []Session) error {
	lines, err := b.ask(ctx, "show", "bfd", "sessions")
	for _, l := range lines {
		fields := strings.Fields(l)
		for i := range all {
			if len(fields) > 2 && fields[0] == all[i].Neighbor.String() {
				all[i].BFD = fields[2]
			}
		}
	}
	return err
}

func (b bird) paths(ctx context.Context, p netip.Prefix) ([]Path, error) {
	lines, err := b.ask(ctx, "show", "route", p.String(), "all")
	if err != nil {
		return nil, err
	}
	var all []Path
	var now *Path
	for _, l := range lines {
		fields := strings.Fields(l)
		switch key, value, _ := strings.Cut(strings.TrimSpace(l), ": "); {
		case strings.Contains(l, "unicast [") || strings.Contains(l, "unreachable ["):
			i := strings.Index(l, "[n")
			name, _, _ := strings.Cut(l[i+2:], " ")
			number, err := strconv.Atoi(name)
			if err != nil {
				return nil, fmt.Errorf("no neighbour in %q", l)
			}
			all = append(all, Path{From: b.Neighbors[number].Address, Stale: strings.Contains(l, "s) [")})
			now = &all[len(all)-1]
		case now == nil:
		case key == "BGP.as_path":
			for _, n := range strings.Fields(value) {
				asn, err := strconv.ParseUint(n, 10, 32)
				if err != nil {
					return nil, err
				}
				now.ASPath = append(now.ASPath, uint32(asn))
			}
		case key == "BGP.next_hop":
			now.NextHop, err = netip.ParseAddr(fields[1])
		case key == "BGP.med":
			now.MED, err = number(value)
			now.HasMED = true
		case key == "BGP.local_pref":
			now.LocalPref, err = number(value)
		case key == "BGP.community":
			now.Communities = birdCommunities(value)
		case key == "BGP.large_community":
			now.Large = birdCommunities(strings.ReplaceAll(value, ", ", ","))
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", l, err)
		}
	}
	return all, nil
}

func number(text string) (uint32, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 32)
	return uint32(n), err
}

// birdCommunities reads "(64512,1) (64512,2)".
func birdCommunities(text string) []string {
	return strings.Fields(strings.NewReplacer("(", "", ")", "", ",", ":").Replace(text))
}

func (b bird) prefixes(ctx context.Context, six bool) ([]netip.Prefix, error) {
	table := "master4"
	if six {
		table = "master6"
	}
	lines, err := b.ask(ctx, "show", "route", "table", table)
	var all []netip.Prefix
	for _, l := range lines {
		if fields := strings.Fields(l); len(fields) > 1 && fields[1] == "unicast" {
			p, err := netip.ParsePrefix(fields[0])
			if err != nil {
				return nil, fmt.Errorf("%q: %w", l, err)
			}
			all = append(all, p)
		}
	}
	return all, err
}
