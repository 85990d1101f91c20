package agent

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func connect(t *testing.T) (*Client, net.Conn) {
	t.Helper()
	near, far := net.Pipe()
	t.Cleanup(func() { _ = near.Close() })
	go func() { _ = Serve(far) }() // until the pipe is closed
	return NewClient(near), near
}

func sh(script string) Request {
	return Request{Run: &Run{Args: []string{"sh", "-ec", script}, Limit: time.Minute}}
}

func TestRun(t *testing.T) {
	c, _ := connect(t)
	for _, test := range []struct {
		script, output string
		code           int
	}{
		{"echo one; echo two >&2", "one\ntwo\n", 0},
		{"echo before; exit 7", "before\n", 7},
		{"kill -KILL $$", "", 128 + 9},
		{"sleep 600 & echo first", "first\n", 0},
	} {
		a, err := c.Do(t.Context(), sh(test.script))
		if err != nil || string(a.Output) != test.output || a.Code != test.code {
			t.Errorf("%q: %q, code %d, %v", test.script, a.Output, a.Code, err)
		}
	}
	if _, err := c.Do(t.Context(), Request{Run: &Run{Args: []string{"/no/program"}, Limit: time.Minute}}); err == nil {
		t.Error("a program that does not exist ran")
	}
	late := Request{Run: &Run{Args: []string{"sleep", "600"}, Limit: 10 * time.Millisecond}}
	if _, err := c.Do(t.Context(), late); err == nil || !strings.Contains(err.Error(), "not ended within") {
		t.Errorf("after the limit: %v", err)
	}
}

func TestFiles(t *testing.T) {
	c, _ := connect(t)
	path := filepath.Join(t.TempDir(), "folder", "file")
	data := []byte(strings.Repeat("0123456789abcdef", 1<<16))
	if _, err := c.Do(t.Context(), Request{Put: &Put{Path: path, Data: data, Mode: 0o700}}); err != nil {
		t.Fatal(err)
	}
	a, err := c.Do(t.Context(), Request{Get: &Get{Path: path}})
	if err != nil || string(a.Output) != string(data) {
		t.Errorf("%d bytes came back of %d: %v", len(a.Output), len(data), err)
	}
	if _, err := c.Do(t.Context(), Request{Get: &Get{Path: path + "x"}}); err == nil {
		t.Error("a file that does not exist was read")
	}
}

func TestPrograms(t *testing.T) {
	c, _ := connect(t)
	log := filepath.Join(t.TempDir(), "log")
	start := Request{Start: &Start{Name: "p", Args: []string{"sh", "-c", "echo $WORD; exec sleep 600"}, Env: []string{"WORD=hello"}, Log: log}}
	a, err := c.Do(t.Context(), start)
	if err != nil || a.Running != 1 {
		t.Fatalf("%d programs run: %v", a.Running, err)
	}
	if _, err := c.Do(t.Context(), start); err == nil {
		t.Error("a second program got the same name")
	}
	for {
		a, err = c.Do(t.Context(), Request{Get: &Get{Path: log}})
		if err != nil {
			t.Fatal(err)
		}
		if string(a.Output) == "hello\n" {
			break
		}
	}
	kill := Request{Kill: &Kill{Name: "p", Signal: int(syscall.SIGTERM), Wait: true}}
	if a, err = c.Do(t.Context(), kill); err != nil || a.Running != 0 {
		t.Errorf("after the end %d programs run: %v", a.Running, err)
	}
	if _, err = c.Do(t.Context(), kill); err != nil {
		t.Errorf("kill what has ended: %v", err)
	}
}

func TestGone(t *testing.T) {
	c, conn := connect(t)
	result := make(chan error, 1)
	go func() {
		_, err := c.Do(context.Background(), sh("exec sleep 600"))
		result <- err
	}()
	if _, err := c.Do(t.Context(), sh("true")); err != nil { // both jobs run at once
		t.Error(err)
	}
	_ = conn.Close()
	if err := <-result; !errors.Is(err, ErrGone) {
		t.Errorf("the job of a machine that is gone: %v", err)
	}
	if _, err := c.Do(t.Context(), sh("true")); !errors.Is(err, ErrGone) {
		t.Errorf("a job for a machine that is gone: %v", err)
	}
}
