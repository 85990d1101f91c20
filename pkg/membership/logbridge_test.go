package membership

import (
	"bytes"
	"fmt"
	"log"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// logTo returns a logger that writes lines without time to b.
func logTo(b *bytes.Buffer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}

func TestParseLine(t *testing.T) {
	for _, test := range []struct {
		line  string
		level slog.Level
		text  string
	}{
		{"[DEBUG] memberlist: Stream connection from=127.0.0.1:1\n", slog.LevelDebug, "Stream connection from=127.0.0.1:1"},
		{"[INFO] memberlist: Suspect b has failed, no acks received", slog.LevelDebug, "Suspect b has failed, no acks received"},
		{"[WARN] memberlist: Refuting a suspect message (from: b)", slog.LevelWarn, "Refuting a suspect message (from: b)"},
		{"[WARN] memberlist: Refuting an alive message for 'a' (192.0.2.1:7950) meta:([2 2] VS [2 1])", slog.LevelDebug,
			"Refuting an alive message for 'a' (192.0.2.1:7950) meta:([2 2] VS [2 1])"},
		{"[WARN] memberlist: Was able to connect to b over TCP but UDP probes failed, network may be misconfigured", slog.LevelDebug,
			"Was able to connect to b over TCP but UDP probes failed, network may be misconfigured"},
		{"[ERR] memberlist: Push/Pull with b failed: EOF", slog.LevelWarn, "Push/Pull with b failed: EOF"},
		{"[ERR] Failed to shutdown transport: x", slog.LevelWarn, "Failed to shutdown transport: x"},
		{"Err: Could not set the deadline: x", slog.LevelWarn, "Err: Could not set the deadline: x"},
		{"", slog.LevelWarn, ""},
	} {
		if level, text := parseLine(test.line); level != test.level || text != test.text {
			t.Errorf("%q is %s %q, want %s %q", test.line, level, text, test.level, test.text)
		}
	}
}

func TestLogBridgeRepeatsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		logger := log.New(&logBridge{log: logTo(&b, slog.LevelInfo)}, "", 0)
		for port := range 3 {
			logger.Printf("[ERR] memberlist: Decrypt packet failed: no key from=192.0.2.1:%d", port)
		}
		logger.Print("[WARN] memberlist: something else")
		logger.Print("[DEBUG] memberlist: not at this level")
		time.Sleep(quietTime)
		logger.Print("[ERR] memberlist: Decrypt packet failed: again")
		want := `level=WARN msg="Decrypt packet failed: no key from=192.0.2.1:0" source=memberlist
level=WARN msg="something else" source=memberlist
level=WARN msg="Decrypt packet failed: again" source=memberlist suppressed=2
`
		if b.String() != want {
			t.Errorf("logged\n%s\nwant\n%s", b.String(), want)
		}
	})
}

func TestLogBridgeForgets(t *testing.T) {
	var b bytes.Buffer
	bridge := &logBridge{log: logTo(&b, slog.LevelInfo)}
	for i := range 3 * maxKinds {
		fmt.Fprintf(bridge, "[WARN] memberlist: kind %d", i)
	}
	if len(bridge.seen) > maxKinds || strings.Count(b.String(), "\n") != 3*maxKinds {
		t.Errorf("%d kinds are kept and %d logged", len(bridge.seen), strings.Count(b.String(), "\n"))
	}
}
