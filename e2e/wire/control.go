package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// What lets others than [Lab.Round] make faults happen: each to one node, counted from 0, and for as long as they like.

// Nodes returns the nodes' names, and MACs their MAC addresses on the LAN.
func (l *Lab) Nodes() (names []string) {
	for _, n := range l.nodes {
		names = append(names, n.name)
	}
	return names
}

// MACs returns the nodes' MAC addresses on the LAN.
func (l *Lab) MACs() (macs []MAC) {
	for _, n := range l.nodes {
		macs = append(macs, n.mac)
	}
	return macs
}

// Running tells whether the speaker of a node runs.
func (l *Lab) Running(number int) bool { return l.nodes[number].running() }

// Exit tells how the last speaker of a node ended.
func (l *Lab) Exit(number int) string { return l.nodes[number].state() }

// Signal sends a signal to the speaker of a node, which must be running, and does not wait for what comes of it.
func (l *Lab) Signal(number int, s syscall.Signal) error { return l.nodes[number].signal(s) }

// Kill ends the speaker of a node at once.
func (l *Lab) Kill(number int) error { return l.nodes[number].kill() }

// Stop tells the speaker of a node to stop, and waits until it has.
func (l *Lab) Stop(number int) error { return stop(l, l.nodes[number]) }

// Start starts the speaker of a node, with more variables in its environment than this process has. Output is a file for
// what it prints, nil for the usual one.
func (l *Lab) Start(number int, output *os.File, environment ...string) error {
	return l.nodes[number].startWith(output, environment)
}

// Cut cuts a node off networks, whose carriers stay; Join ends that.
func (l *Lab) Cut(number int, networks ...Network) error {
	return l.nodes[number].each((*port).cut, networks...)
}

// Join plugs a node into networks again.
func (l *Lab) Join(number int, networks ...Network) error {
	return l.nodes[number].each((*port).join, networks...)
}

// Carrier gives a node's links to networks their carrier, or takes it away.
func (l *Lab) Carrier(number int, on bool, networks ...Network) error {
	if on {
		return l.nodes[number].each((*port).up, networks...)
	}
	return l.nodes[number].each((*port).down, networks...)
}

// Busy keeps all CPUs busy until Idle.
func (l *Lab) Busy() error { return busy(l, nil) }

// Idle ends that.
func (l *Lab) Idle() error { return idle(l, nil) }

// Ask asks the LAN once for each of the addresses. It may be called beside all other methods.
func (l *Lab) Ask(addrs []netip.Addr) error { return l.sniffer.ask(addrs) }

// Claims returns the claims that have come since the last call, and forgets them.
func (l *Lab) Claims() []Claim { return l.sniffer.claims.Take() }

// Tap calls f with each frame of ARP and IPv6 that passes the LAN and the time it came, from several goroutines.
func (l *Lab) Tap(f func(at time.Time, frame []byte)) { l.sniffer.tap.Store(&f) }

// Rollout does to a node's speaker what the update of a DaemonSet with maxSurge 1 does: a second one is started, and when it is
// ready the first is told to stop.
func (l *Lab) Rollout(ctx context.Context, number int) error {
	n := l.nodes[number]
	if !n.running() {
		return errors.New("no speaker runs that another could follow")
	}
	old, ended := n.speaker, n.ended
	if err := n.start(); err != nil {
		return err
	}
	if err := n.awaitReady(ctx); err != nil {
		return fmt.Errorf("the speaker that is to follow on %s: %w", n.name, err)
	}
	if err := old.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("the speaker of %s that is to be followed: %w", n.name, err)
	}
	select {
	case <-ended:
	case <-time.After(stopLimit):
		return fmt.Errorf("the speaker of %s still runs %v after SIGTERM", n.name, stopLimit)
	}
	if !old.ProcessState.Success() {
		return fmt.Errorf("the speaker of %s that was followed ended with %s", n.name, old.ProcessState)
	}
	return nil
}

// AwaitReady waits until the speaker of a node says that it is ready.
func (l *Lab) AwaitReady(ctx context.Context, number int) error {
	return l.nodes[number].awaitReady(ctx)
}

// Status returns what the speaker of a node tells of itself, as JSON.
func (l *Lab) Status(ctx context.Context, number int) ([]byte, error) {
	n := l.nodes[number]
	said, err := n.ask(ctx, "status")
	if err != nil {
		return nil, fmt.Errorf("the status of the speaker of %s: %w", n.name, err)
	}
	return said, nil
}

// ask runs the speaker's program as a question to the speaker that runs.
func (n *node) ask(ctx context.Context, question ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, n.lab.options.Speaker, question...)
	cmd.Env = append(os.Environ(), n.podEnv())
	var said bytes.Buffer
	cmd.Stdout = &said
	err := n.namespace.start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	return said.Bytes(), err
}

// awaitReady asks the speaker as a kubelet does, every 100 ms.
func (n *node) awaitReady(ctx context.Context) error {
	for {
		said, err := n.ask(ctx, "probe", "ready")
		if err == nil {
			return nil
		}
		if waited := Pause(ctx, 100*time.Millisecond); waited != nil {
			return fmt.Errorf("%w; it last said: %s", waited, bytes.TrimSpace(said))
		}
	}
}

// podEnv names the Pod of the last speaker that was started: no two that run at once are of one Pod.
func (n *node) podEnv() string { return fmt.Sprintf("POD_NAME=%s-%d", podName(n.name), n.starts) }
