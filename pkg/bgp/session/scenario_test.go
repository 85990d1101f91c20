package session

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/bgp/routertest"
	"github.com/lanlord/lanlord/pkg/bgp/wire"
)

var update = flag.Bool("update", false, "write the results into the scenario files")

// TestScenarios replays the files of testdata. A line is a comment (#), a step, or, indented, what came of the step:
// actions of the session, its state, and its reason.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 10 {
		t.Fatalf("found %d scenarios: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := replay(t, string(text))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(text) {
				t.Errorf("%s differs; it would be:\n%s", file, got)
			}
		})
	}
}

// scene is a scenario while it runs.
type scene struct {
	*pair
	options routertest.Options
	out     strings.Builder
	last    View
}

// replay runs the steps, and returns the scenario with the results.
func replay(t *testing.T, text string) string {
	s := &scene{}
	config := Config{HoldTime: 90 * time.Second}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "  ") {
			continue
		}
		fmt.Fprintln(&s.out, line)
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || words[0] == "#":
		case words[0] == "config":
			for _, w := range words[1:] {
				setConfig(t, &config, w)
			}
		case words[0] == "router" && s.pair == nil:
			for _, w := range words[1:] {
				setRouter(t, &s.options, w)
			}
		default:
			if s.pair == nil {
				s.pair = newPair(t, config, s.options)
				s.log = s.action
			}
			s.do(words[0], words[1:])
			s.changes()
		}
	}
	s.fair()
	return s.out.String()
}

func (s *scene) printf(format string, args ...any) { fmt.Fprintf(&s.out, "  "+format+"\n", args...) }

// changes prints the state and the reason when they are new.
func (s *scene) changes() {
	v := s.s.View()
	if v.State != s.last.State {
		s.printf("%v", v.State)
	}
	if v.Reason != s.last.Reason || v.Message != s.last.Message {
		s.printf("%v: %s", v.Reason, v.Message)
	}
	for f := range wire.Family(wire.FamilyCount) {
		if v.NotOfferedWhy[f] != s.last.NotOfferedWhy[f] && v.NotOffered[f] {
			s.printf("no %v: %s", f, v.NotOfferedWhy[f])
		}
	}
	if v.Announced != s.last.Announced || v.Wanted != s.last.Wanted {
		s.printf("announced %v of %v", v.Announced, v.Wanted)
	}
	s.last = v
}

// do carries out a step.
func (s *scene) do(step string, args []string) {
	arg := strings.Join(args, " ")
	switch step {
	case "local":
		s.setLocal(args)
	case "start":
		s.step(Start{})
	case "connect":
		s.connect()
	case "fail":
		s.dialing = false
		s.step(DialFailed{Refused, arg})
	case "exchange":
		s.settle()
	case "write":
		n, _ := strconv.Atoi(arg)
		s.write(n)
	case "read":
		s.read(1 << 30)
	case "lose":
		s.lose()
	case "wait":
		s.advance(duration(s.t, arg))
	case "mute", "speak":
		s.mute = step == "mute"
	case "slow", "fast":
		s.slow = step == "slow"
	case "routes", "routes-not-ready":
		s.step(SetRoutes{parseRoutes(s.t, args), step == "routes"})
	case "refresh":
		s.unread = append(s.unread, s.r.Refresh(map[string]wire.Family{"IPv4": wire.IPv4, "IPv6": wire.IPv6}[arg])...)
	case "notify":
		s.unread = append(s.unread, s.r.Notify(parseNotification(s.t, args))...)
	case "bytes":
		s.unread = append(s.unread, parseBytes(s.t, args)...)
	case "handover":
		s.printf("saved: %v", s.handover())
	case "crash":
		s.crash()
	case "bfd-down":
		s.step(BFDDown{})
	case "reconnect":
		s.step(Reconnect{})
	case "stop":
		s.step(Stop{map[string]StopReason{"shutdown": Shutdown, "deconfigured": Deconfigured, "hard": HardReset}[arg]})
	case "router":
		for _, w := range args {
			setRouter(s.t, &s.options, w)
		}
		s.r.SetOptions(s.options)
	case "rib":
		for line := range strings.Lines(s.r.String()) {
			s.printf("%s", strings.TrimSpace(line))
		}
	default:
		s.t.Fatalf("unknown step %s", step)
	}
}

func (s *scene) crash() {
	s.drop()
	c := s.config
	c.Restarted = true
	s.s, s.last = New(c, s.random.Float64), View{}
}

func (s *scene) setLocal(args []string) {
	s.local = Connected{Family: wire.IPv4}
	for _, a := range args {
		switch addr, err := netip.ParseAddr(a); {
		case a == "over-IPv6":
			s.local.Family = wire.IPv6
		case err != nil:
			s.t.Fatal(err)
		case addr.Is4():
			s.local.NextHop4 = addr
		default:
			s.local.NextHop6 = addr
		}
	}
}

// action prints an action.
func (s *scene) action(a Action) {
	switch a := a.(type) {
	case Dial:
		s.printf("Dial")
	case Close:
		s.printf("Close")
	case Send:
		for b := a.Data; len(b) > 0; {
			size := int(binary.BigEndian.Uint16(b[16:]))
			s.printf("%s", describe(b[:size]))
			b = b[size:]
		}
	}
}

// describe returns a message in words: its type, and what it says.
func describe(b []byte) string {
	body := b[wire.HeaderLen:]
	switch t := wire.Type(b[18]); t {
	case wire.TypeOpen:
		return describeOpen(body)
	case wire.TypeNotification:
		return "NOTIFICATION " + wire.ParseNotification(body).String()
	case wire.TypeUpdate:
		for f := range wire.Family(wire.FamilyCount) {
			if bytes.Equal(b, wire.AppendEndOfRIB(nil, f)) {
				return "End-of-RIB " + f.String()
			}
		}
		return fmt.Sprintf("UPDATE of %d bytes", len(b))
	default:
		return strings.ToUpper(t.String())
	}
}

func describeOpen(body []byte) string {
	o, err := wire.ParseOpen(body)
	text := fmt.Sprintf("OPEN AS %d, hold time %v", o.ASN, o.HoldTime)
	c := o.Capabilities
	if c == nil {
		return text + fmt.Sprintf(", no capabilities (%v)", err)
	}
	for f, on := range c.Families {
		if on {
			text += ", " + wire.Family(f).String()
		}
	}
	for name, on := range map[string]bool{"IPv6 next hops": c.ExtendedNextHop} {
		if on {
			text += ", " + name
		}
	}
	if g := c.GracefulRestart; g != nil {
		text += fmt.Sprintf(", graceful restart %v", g.Time)
		for _, bit := range []struct {
			name string
			on   bool
		}{{"R", g.Restarting}, {"N", g.Notification}, {"F", g.Forwarding[0] && g.Forwarding[1]}} {
			if bit.on {
				text += " " + bit.name
			}
		}
	}
	return text
}

func number(t testing.TB, text string) uint32 {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(n)
}

func duration(t testing.TB, text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func setConfig(t testing.TB, c *Config, word string) {
	key, value, _ := strings.Cut(word, "=")
	switch key {
	case "local":
		c.LocalASN = number(t, value)
	case "remote":
		c.RemoteASN = number(t, value)
	case "any-external":
		c.AnyExternal = true
	case "hold":
		c.HoldTime = duration(t, value)
	case "keepalive":
		c.KeepaliveTime = duration(t, value)
	case "restart":
		c.GracefulRestart = duration(t, value)
	case "forwarding-kept":
		c.ForwardingKept = true
	default:
		t.Fatalf("unknown config %s", word)
	}
}

func setRouter(t testing.TB, o *routertest.Options, word string) {
	key, value, _ := strings.Cut(word, "=")
	switch key {
	case "asn":
		o.ASN = number(t, value)
	case "says":
		o.SaysASN = number(t, value)
	case "id":
		o.ID = netip.MustParseAddr(value)
	case "hold":
		o.HoldTime = duration(t, value)
	case "no-capabilities":
		o.NoCapabilities = true
	case "no-multiprotocol":
		o.NoMultiprotocol = true
	case "no-four-byte":
		o.NoFourByteASN = true
	case "only":
		o.Only = []wire.Family{map[string]wire.Family{"IPv4": wire.IPv4, "IPv6": wire.IPv6}[value]}
	case "extended":
		o.ExtendedNextHop = true
	case "restart":
		o.GracefulRestart = &wire.GracefulRestart{Time: duration(t, value), Notification: true}
	case "silent":
		o.Silent = true
	case "refuse":
		n := parseNotification(t, []string{value})
		o.Refuse = &n
	case "refuse-capabilities":
		n := parseNotification(t, []string{value})
		o.RefuseCapabilities = &n
	case "friendly":
		*o = routertest.Options{ASN: o.ASN, PeerASN: o.PeerASN}
	default:
		t.Fatalf("unknown option %s", word)
	}
}

// parseNotification reads "6/2 some text".
func parseNotification(t testing.TB, args []string) wire.Notification {
	code, subcode, ok := strings.Cut(args[0], "/")
	if !ok {
		t.Fatalf("notification %v", args)
	}
	n := wire.Notification{Code: uint8(number(t, code)), Subcode: uint8(number(t, subcode))}
	if text := strings.Join(args[1:], " "); text != "" {
		n.Data = append([]byte{byte(len(text))}, text...)
	}
	return n
}

// parseBytes reads a message: its type and its body, as numbers.
func parseBytes(t testing.TB, args []string) []byte {
	b := slices.Repeat([]byte{0xff}, 16)
	b = append(b, 0, byte(18+len(args)))
	for _, a := range args {
		b = append(b, byte(number(t, a)))
	}
	return b
}

// parseRoutes reads "192.0.2.1/32" with "+med=5", "+pref=5", "+prepend=2", "+shutdown" behind it.
func parseRoutes(t testing.TB, args []string) (routes []Route) {
	for _, a := range args {
		parts := strings.Split(a, "+")
		r := Route{Prefix: netip.MustParsePrefix(parts[0]), LocalPref: 100}
		for _, part := range parts[1:] {
			key, value, _ := strings.Cut(part, "=")
			switch key {
			case "med":
				r.MED, r.HasMED = number(t, value), true
			case "pref":
				r.LocalPref = number(t, value)
			case "prepend":
				r.Prepend = int(number(t, value))
			case "shutdown":
				r.Communities = []uint32{wire.GracefulShutdown}
			default:
				t.Fatalf("unknown attribute %s", part)
			}
		}
		routes = append(routes, r)
	}
	sortRoutes(routes)
	return routes
}
