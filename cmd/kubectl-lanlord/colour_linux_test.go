package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"golang.org/x/tools/txtar"
)

// openTerminal returns both ends of a pseudo-terminal.
func openTerminal(t *testing.T) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudo-terminal: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminal: %v", err)
	}
	t.Cleanup(func() { terminal.Close() })
	return master, terminal
}

// TestColours runs a command on a terminal. Colours appear unless NO_COLOR is set, and never in JSON or in a file.
func TestColours(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/healthy.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		line, noColour, term string
		want                 bool
	}{
		{"services", "", "xterm", true},
		{"doctor", "", "xterm", true},
		{"services", "1", "xterm", false},
		{"services", "", "dumb", false},
		{"services -o json", "", "xterm", false},
	} {
		t.Setenv("NO_COLOR", c.noColour)
		t.Setenv("TERM", c.term)
		master, terminal := openTerminal(t)
		w := newScenario(t, archive)
		printed := make(chan []byte)
		go func() {
			text, _ := io.ReadAll(master) // EIO once the other end is closed
			printed <- text
		}()
		var stderr bytes.Buffer
		if status := w.start(context.Background(), terminal, &stderr, strings.Fields(c.line)...); status != exitOK {
			t.Fatalf("%s: exit status %d, %s", c.line, status, stderr.String())
		}
		if err := terminal.Close(); err != nil {
			t.Fatal(err)
		}
		text := <-printed
		if got := bytes.Contains(text, []byte(green)); got != c.want || len(text) < 100 {
			t.Errorf("%s with NO_COLOR=%q and TERM=%s has colours: %t\n%s", c.line, c.noColour, c.term, got, text)
		}
	}
	var out bytes.Buffer
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "xterm")
	newScenario(t, archive).start(context.Background(), &out, &out, "services")
	if bytes.Contains(out.Bytes(), []byte(green)) {
		t.Errorf("a file gets colours:\n%s", out.String())
	}
}
