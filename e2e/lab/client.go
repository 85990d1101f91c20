package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/lanlord/lanlord/e2e/probe"
)

// Exec runs a command in the outside client and returns what it printed.
func (l *Lab) Exec(command ...string) (string, error) {
	return run(context.Background(), "docker", append([]string{"exec", clientName}, command...)...)
}

// MustExec is Exec for what must succeed.
func (l *Lab) MustExec(command ...string) string {
	l.t.Helper()
	output, err := l.Exec(command...)
	if err != nil {
		l.t.Fatal(err)
	}
	return output
}

// Get returns the page at a URL as the client sees it.
func (l *Lab) Get(url string) (string, error) {
	return l.Exec("curl", "-sSf", "-g", "-m", "2", url)
}

// URL is where an address serves HTTP.
func URL(address netip.Addr, port int) string {
	return "http://" + netip.AddrPortFrom(address, uint16(port)).String() + "/"
}

// Who returns who answers for an address: ARP for IPv4, neighbour discovery for IPv6.
// It asks a few times, so that several owners all have their say.
func (l *Lab) Who(address netip.Addr) probe.Neighbours {
	l.t.Helper()
	return l.neighbours(address, "--count", "5", "--interval", "100ms", "--wait", "500ms")
}

// FirstAnswer asks every 5 ms until somebody answers for an address. The report is
// empty of answers if nobody did within the time.
func (l *Lab) FirstAnswer(address netip.Addr, within time.Duration) probe.Neighbours {
	l.t.Helper()
	const interval = 5 * time.Millisecond
	return l.neighbours(address, "--count", fmt.Sprint(max(1, int64(within/interval))), "--interval", interval.String(), "--until-answered")
}

func (l *Lab) neighbours(address netip.Addr, flags ...string) probe.Neighbours {
	l.t.Helper()
	protocol := "arp"
	if address.Is6() {
		protocol = "ndp"
	}
	output := l.MustExec(append([]string{"probe", protocol, address.String()}, flags...)...)
	var report probe.Neighbours
	if err := json.Unmarshal([]byte(output), &report); err != nil {
		l.t.Fatalf("report of probe %s: %v", protocol, err)
	}
	return report
}

// HTTP requests a page from the client at a fixed rate for a time.
func (l *Lab) HTTP(load probe.Load) probe.Traffic {
	l.t.Helper()
	traffic := l.StartHTTP(load)
	return traffic.Wait()
}

// Traffic is a stream of requests under way.
type Traffic struct {
	t       testing.TB
	command *exec.Cmd
	stdin   io.Closer
	stdout  strings.Builder
	stderr  strings.Builder
}

// StartHTTP begins to request a page from the client at a fixed rate, until Stop, the
// end of the test, or load.For if that is not 0.
func (l *Lab) StartHTTP(load probe.Load) *Traffic {
	l.t.Helper()
	traffic := &Traffic{t: l.t, command: exec.Command("docker", "exec", "-i", clientName, "probe", "http", load.URL, "--until-eof",
		"--every", load.Every.String(), "--timeout", load.Timeout.String(), "--for", load.For.String())}
	traffic.command.Stdout, traffic.command.Stderr = &traffic.stdout, &traffic.stderr
	var err error
	if traffic.stdin, err = traffic.command.StdinPipe(); err != nil {
		l.t.Fatal(err)
	}
	if err := traffic.command.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		traffic.stdin.Close()
		_ = traffic.command.Wait() // an error if Stop or Wait was called, as it should be
	})
	return traffic
}

// Stop ends the requests and returns the report.
func (t *Traffic) Stop() probe.Traffic {
	t.t.Helper()
	t.stdin.Close()
	return t.Wait()
}

// Wait returns the report when load.For is over.
func (t *Traffic) Wait() probe.Traffic {
	t.t.Helper()
	if err := t.command.Wait(); err != nil {
		t.t.Fatalf("probe http: %v: %s", err, t.stderr.String())
	}
	var report probe.Traffic
	if err := json.Unmarshal([]byte(t.stdout.String()), &report); err != nil {
		t.t.Fatalf("report of probe http: %v", err)
	}
	return report
}
