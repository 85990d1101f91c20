package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanlord/lanlord/e2e/probe"
)

// running is a program under way that ends with its input or with the test.
type running struct {
	t       testing.TB
	command *exec.Cmd
	stdin   io.Closer
	stdout  strings.Builder
	stderr  strings.Builder
}

// start begins a command of probe in the client.
func (l *Lab) start(args ...string) *running {
	l.t.Helper()
	r := &running{t: l.t, command: exec.Command("docker", slices.Concat([]string{"exec", "-i"}, l.client, []string{"probe"}, args)...)}
	r.command.Stdout, r.command.Stderr = &r.stdout, &r.stderr
	var err error
	if r.stdin, err = r.command.StdinPipe(); err != nil {
		l.t.Fatal(err)
	}
	if err := r.command.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		r.stdin.Close()
		_ = r.command.Wait() // an error if the report was read, as it should be
	})
	return r
}

// read waits for the end and reads the report.
func (r *running) read(report any) {
	r.t.Helper()
	if err := r.command.Wait(); err != nil {
		r.t.Fatalf("%s: %v: %s", strings.Join(r.command.Args, " "), err, r.stderr.String())
	}
	if err := json.Unmarshal([]byte(r.stdout.String()), report); err != nil {
		r.t.Fatalf("report of %s: %v", strings.Join(r.command.Args, " "), err)
	}
}

// HTTP requests a page from the client at a fixed rate for a time.
func (l *Lab) HTTP(load probe.Load) probe.Traffic {
	l.t.Helper()
	traffic := l.StartHTTP(load)
	return traffic.Wait()
}

// MeetAllPods requests a page from the client until each pod that the selector matches has answered, and nobody else. A pod that is
// about to go does not count, whether it answers or not.
func (l *Lab) MeetAllPods(url, namespace, selector string) {
	l.t.Helper()
	l.WaitFor(url+" to be answered by all pods", patience, func(context.Context) error {
		traffic := l.HTTP(probe.Load{URL: url, Every: 10 * time.Millisecond, Timeout: time.Second, For: time.Second})
		staying := l.stayingPods(namespace, selector)
		if traffic.Failed > 0 || len(traffic.Pods) != len(staying) {
			return fmt.Errorf("%s, of %d pods; %v", traffic, len(staying), traffic.Errors)
		}
		for pod := range traffic.Pods {
			if !slices.Contains(staying, pod) {
				return fmt.Errorf("%s answered, which is none of the pods %v", pod, staying)
			}
		}
		return nil
	})
}

// Traffic is a stream of requests under way.
type Traffic struct{ *running }

// StartHTTP begins to request a page from the client at a fixed rate, until Stop, the
// end of the test, or load.For if that is not 0.
func (l *Lab) StartHTTP(load probe.Load) Traffic {
	l.t.Helper()
	l.ForgetHalfOpen()
	return l.startTraffic("http", load.URL, load)
}

// StartDatagrams begins to send datagrams from the client at a fixed rate, as StartHTTP does requests.
func (l *Lab) StartDatagrams(load probe.Load) Traffic {
	l.t.Helper()
	return l.startTraffic("udp", load.Target, load)
}

func (l *Lab) startTraffic(command, target string, load probe.Load) Traffic {
	l.t.Helper()
	return Traffic{l.start(command, target, "--until-eof",
		"--every", load.Every.String(), "--timeout", load.Timeout.String(), "--for", load.For.String())}
}

// Stop ends the requests and returns the report.
func (t Traffic) Stop() probe.Traffic {
	t.t.Helper()
	t.stdin.Close()
	return t.Wait()
}

// Wait returns the report when load.For is over.
func (t Traffic) Wait() (report probe.Traffic) {
	t.t.Helper()
	t.read(&report)
	return report
}

// Streams is connections of the client that are being kept open.
type Streams struct{ *running }

// StartStreams begins to keep connections open, until Stop or the end of the test.
func (l *Lab) StartStreams(talk probe.Talk) Streams {
	l.t.Helper()
	return Streams{l.start("stream", talk.Target, "--until-eof", "--connections", fmt.Sprint(talk.Connections),
		"--every", talk.Every.String(), "--timeout", talk.Timeout.String())}
}

// Stop closes the connections and returns the report.
func (s Streams) Stop() (report probe.Streams) {
	s.t.Helper()
	s.stdin.Close()
	s.read(&report)
	return report
}

// Watch is questions under way about who answers for an address.
type Watch struct{ *running }

// StartWatch begins to ask every 10 ms who answers for an address, for as long as is said.
func (l *Lab) StartWatch(address netip.Addr, howLong time.Duration) Watch {
	l.t.Helper()
	const interval = 10 * time.Millisecond
	return Watch{l.start(protocol(address), address.String(), "--interval", interval.String(),
		"--count", fmt.Sprint(max(1, int64(howLong/interval))))}
}

// Wait returns the report when the time is over.
func (w Watch) Wait() (report probe.Neighbours) {
	w.t.Helper()
	w.read(&report)
	return report
}
