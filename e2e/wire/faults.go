package wire

import (
	"errors"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// Fault is something that happens to the owner of an address, and how it ends.
type Fault struct {
	// Name is one word; About says what happens.
	Name, About string
	// Hold is how long the fault lasts, After how long is measured after its end.
	Hold, After time.Duration
	// Many says that the owner shall have hundreds of addresses, and a laboratory of its own.
	Many bool
	// prepare is done before the cluster settles for the measurement.
	prepare func(*Lab, *node) error
	// inject begins the fault; heal ends it, and is measured too; restore brings back what is then still missing.
	inject, heal, restore func(*Lab, *node) error
}

// Faults returns all faults.
func Faults() []Fault {
	return []Fault{
		{Name: "crash", About: "the owner loses power: all its links go down, its speaker is gone",
			Hold: 4 * time.Second, inject: crash, restore: revive},
		{Name: "kill", About: "the owner's speaker is killed, its kernel goes on",
			Hold: 4 * time.Second, inject: func(_ *Lab, n *node) error { return n.kill() }, restore: startAgain},
		{Name: "stop", About: "the owner's speaker is told to stop",
			Hold: 3 * time.Second, inject: stop, restore: startAgain},
		{Name: "return", About: "a speaker that was stopped comes back",
			Hold: 4 * time.Second, prepare: stop, inject: startAgain},
		{Name: "pause", About: "the owner's speaker hangs for 4 s (SIGSTOP), then goes on",
			Hold: 4 * time.Second, After: 3 * time.Second, inject: send(syscall.SIGSTOP), heal: send(syscall.SIGCONT)},
		{Name: "gossip", About: "the owner is cut off from gossip for 4 s",
			Hold: 4 * time.Second, After: 4 * time.Second, inject: cut(Gossip), heal: join(Gossip)},
		{Name: "lan", About: "the owner is cut off from the LAN for 4 s, with a carrier",
			Hold: 4 * time.Second, After: 3 * time.Second, inject: cut(LAN), heal: join(LAN)},
		{Name: "both", About: "the owner is cut off from the LAN and gossip for 4 s",
			Hold: 4 * time.Second, After: 4 * time.Second, inject: cut(LAN, Gossip), heal: join(LAN, Gossip)},
		{Name: "api", About: "all nodes are cut off from the API server for 4 s",
			Hold: 4 * time.Second, After: 2 * time.Second, inject: cutAPI, heal: joinAPI},
		{Name: "busy", About: "all CPUs of the machine are busy for 8 s, twice over",
			Hold: 8 * time.Second, After: 2 * time.Second, inject: busy, heal: idle},
		{Name: "many", About: "the owner of about 700 addresses loses power",
			Hold: 4 * time.Second, Many: true, inject: crash, restore: revive},
	}
}

// crash cuts the links before the speaker can say a last word.
func crash(_ *Lab, n *node) error { return errors.Join(n.power(false), n.kill()) }

func revive(_ *Lab, n *node) error { return errors.Join(n.power(true), n.start()) }

func startAgain(_ *Lab, n *node) error { return n.start() }

// stop tells the speaker to stop. That it does, and well, is asked in the end.
func stop(_ *Lab, n *node) error {
	if err := n.signal(syscall.SIGTERM); err != nil {
		return err
	}
	return n.await()
}

func send(s syscall.Signal) func(*Lab, *node) error {
	return func(_ *Lab, n *node) error { return n.signal(s) }
}

func cut(networks ...Network) func(*Lab, *node) error {
	return func(_ *Lab, n *node) error { return n.each((*port).cut, networks...) }
}

func join(networks ...Network) func(*Lab, *node) error {
	return func(_ *Lab, n *node) error { return n.each((*port).join, networks...) }
}

func cutAPI(l *Lab, _ *node) error { return l.every(cut(API)) }

func joinAPI(l *Lab, _ *node) error { return l.every(join(API)) }

func (l *Lab) every(f func(*Lab, *node) error) error {
	var err error
	for _, n := range l.nodes {
		err = errors.Join(err, f(l, n))
	}
	return err
}

// busy starts processes that compute for nothing, two for each CPU. They die with the laboratory at the latest.
func busy(l *Lab, _ *node) error {
	for range 2 * runtime.NumCPU() {
		cmd := exec.Command("sh", "-c", "while :; do :; done")
		if err := l.hub.start(cmd); err != nil {
			return err
		}
		l.burners = append(l.burners, cmd)
	}
	return nil
}

func idle(l *Lab, _ *node) error {
	var err error
	for _, cmd := range l.burners {
		err = errors.Join(err, cmd.Process.Kill())
		_ = cmd.Wait() // "signal: killed"
	}
	l.burners = nil
	return err
}
