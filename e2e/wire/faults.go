package wire

import (
	"errors"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/lanlord/lanlord/e2e/fault"
)

// Fault is a fault of the catalogue that happens to the owner of an address.
type Fault struct {
	// Name is the name in the catalogue.
	Name string
	// Hold is how long the fault lasts, After how long is measured after its end.
	Hold, After time.Duration
	// Many says that the owner shall have hundreds of addresses, and a laboratory of its own.
	Many bool
	// prepare is done before the cluster settles for the measurement.
	prepare func(*Lab, *node) error
	// inject begins the fault; heal ends it, and is measured too; restore brings back what is then still missing.
	inject, heal, restore func(*Lab, *node) error
}

// Faults returns all faults, in the order of the catalogue.
func Faults() (faults []Fault) {
	all := actions()
	for _, rule := range fault.Measured.Rules() {
		f := all[rule.Kind]
		f.Name, f.Hold = string(rule.Kind), rule.Longest
		faults = append(faults, f)
	}
	return faults
}

// actions returns what the faults do.
func actions() map[fault.Kind]Fault {
	return map[fault.Kind]Fault{
		"crash":   {inject: crash, restore: revive},
		"kill":    {inject: func(_ *Lab, n *node) error { return n.kill() }, restore: startAgain},
		"stop":    {inject: stop, restore: startAgain},
		"return":  {prepare: stop, inject: startAgain},
		"pause":   {After: 3 * time.Second, inject: send(syscall.SIGSTOP), heal: send(syscall.SIGCONT)},
		"gossip":  {After: 4 * time.Second, inject: cut(Gossip), heal: join(Gossip)},
		"lan":     {After: 3 * time.Second, inject: cut(LAN), heal: join(LAN)},
		"both":    {After: 4 * time.Second, inject: cut(LAN, Gossip), heal: join(LAN, Gossip)},
		"busy":    {After: 2 * time.Second, inject: busy, heal: idle},
		"api-all": {After: 2 * time.Second, inject: cutAPI, heal: joinAPI},
		"many":    {Many: true, inject: crash, restore: revive},
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
