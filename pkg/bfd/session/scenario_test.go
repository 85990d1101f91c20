package session

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/lanlord/lanlord/pkg/bfd/wire"
)

var update = flag.Bool("update", false, "write the results into testdata")

// TestScenarios plays the "input" of each file and compares with its "output". The input has one command a line:
//
//	profile tx=50ms rx=50ms mult=3 [passive]   starts the session, or changes its profile
//	to 1.5s                                    advances to this time, on time for each deadline
//	stall 2s                                   advances to this time without a call before
//	receive State [key=value ...]              a packet: my, your, tx, rx, mult, diag, P, F, D, A
//	stretch 2
//	handover                                   encodes and restores
//	stop
//	show
//
// The output has each packet sent, each change of state and each show.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil || len(archive.Files) != 2 {
				t.Fatalf("%d sections, want input and output: %v", len(archive.Files), err)
			}
			p := &player{t: t, state: wire.Down}
			for line := range strings.Lines(string(archive.Files[0].Data)) {
				if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
					fmt.Fprintf(&p.out, "> %s\n", line)
					p.do(strings.Fields(line))
				}
			}
			if *update {
				archive.Files[1].Data = p.out.Bytes()
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want := archive.Files[1].Data; !bytes.Equal(p.out.Bytes(), want) {
				t.Errorf("got:\n%swant:\n%s", p.out.Bytes(), want)
			}
		})
	}
}

// player plays one scenario.
type player struct {
	t       *testing.T
	s       *Session
	profile Profile
	now     time.Duration
	state   wire.State
	out     bytes.Buffer
}

func (p *player) do(words []string) {
	p.t.Helper()
	switch verb, arguments := words[0], words[1:]; verb {
	case "profile":
		p.configure(arguments)
	case "to":
		p.to(p.duration(arguments[0]))
	case "stall":
		p.now = p.duration(arguments[0])
	case "receive":
		packet := p.packet(arguments)
		reply, send, verdict := p.s.Receive(p.now, &packet)
		if verdict != wire.Accepted {
			p.print("refused: %v", verdict)
		}
		p.sent(reply, send)
	case "stretch":
		n, err := strconv.ParseUint(arguments[0], 10, 8)
		if err != nil {
			p.t.Fatal(err)
		}
		p.s.Stretch(uint8(n), p.now)
	case "handover":
		b, err := p.s.Encode(p.now)
		if err == nil {
			p.s, err = Restore(b, p.profile, 1, p.now)
		}
		if err != nil {
			p.t.Fatal(err)
		}
	case "stop":
		packet, send := p.s.Stop(p.now)
		p.sent(packet, send)
	case "show":
		v := p.s.View()
		p.print("%v since %v, diagnostic %v; peer %v, diagnostic %v; sends each %v, detects in %v", v.State, v.Since,
			v.Diagnostic,
			v.RemoteState, v.RemoteDiagnostic, v.TransmitInterval, v.DetectionTime)
	default:
		p.t.Fatalf("unknown command %q", verb)
	}
	if words[0] != "stall" { // what is due at once is sent at once
		p.advance()
	}
}

func (p *player) configure(arguments []string) {
	profile := Profile{}
	for _, argument := range arguments {
		key, value, _ := strings.Cut(argument, "=")
		switch key {
		case "tx":
			profile.TransmitInterval = p.duration(value)
		case "rx":
			profile.ReceiveInterval = p.duration(value)
		case "mult":
			profile.DetectMultiplier = uint8(p.number(value))
		case "passive":
			profile.Passive = true
		default:
			p.t.Fatalf("unknown value %q", argument)
		}
	}
	if p.profile = profile; p.s == nil {
		p.s = New(profile, 1, 1, p.now)
		return
	}
	p.s.Configure(profile, p.now)
}

func (p *player) packet(arguments []string) wire.Packet {
	packet := wire.Packet{Multiplier: 3, MyDiscriminator: 7, YourDiscriminator: 1, DesiredMinTx: 50 * time.Millisecond,
		RequiredMinRx: 50 * time.Millisecond}
	for s := range wire.StateCount {
		if wire.State(s).String() == arguments[0] {
			packet.State = wire.State(s)
		}
	}
	for _, argument := range arguments[1:] {
		key, value, _ := strings.Cut(argument, "=")
		switch key {
		case "my":
			packet.MyDiscriminator = uint32(p.number(value))
		case "your":
			packet.YourDiscriminator = uint32(p.number(value))
		case "tx":
			packet.DesiredMinTx = p.duration(value)
		case "rx":
			packet.RequiredMinRx = p.duration(value)
		case "mult":
			packet.Multiplier = uint8(p.number(value))
		case "diag":
			packet.Diagnostic = wire.Diagnostic(p.number(value))
		case "P":
			packet.Poll = true
		case "F":
			packet.Final = true
		case "D":
			packet.Demand = true
		case "A":
			packet.Authenticated = true
		default:
			p.t.Fatalf("unknown value %q", argument)
		}
	}
	return packet
}

// to calls Advance at each deadline until the given time.
func (p *player) to(end time.Duration) {
	for p.s.Deadline() <= end {
		p.now = max(p.now, p.s.Deadline())
		p.advance()
	}
	p.now = end
}

func (p *player) advance() {
	packet, send := p.s.Advance(p.now)
	p.sent(packet, send)
}

// sent prints a change of state, and the packet if it is sent.
func (p *player) sent(k wire.Packet, send bool) {
	if after := p.s.State(); after != p.state {
		p.print("%v -> %v", p.state, after)
		p.state = after
	}
	if !send {
		return
	}
	flags := ""
	if k.Poll {
		flags += " P"
	}
	if k.Final {
		flags += " F"
	}
	p.print("send %v%s your=%d tx=%v rx=%v mult=%d diag=%v", k.State, flags, k.YourDiscriminator, k.DesiredMinTx,
		k.RequiredMinRx,
		k.Multiplier, k.Diagnostic)
}

func (p *player) print(format string, values ...any) {
	fmt.Fprintf(&p.out, "  %v: %s\n", p.now.Round(time.Microsecond), fmt.Sprintf(format, values...))
}

func (p *player) duration(s string) time.Duration {
	p.t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		p.t.Fatal(err)
	}
	return d
}

func (p *player) number(s string) int {
	p.t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}
