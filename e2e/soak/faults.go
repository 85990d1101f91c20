package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lanlord/lanlord/e2e/apiserver"
	"github.com/lanlord/lanlord/e2e/fault"
	"github.com/lanlord/lanlord/e2e/wire"
)

// rolloutLimit is how long the second speaker of a node may take to be ready: while it cannot reach the API server it is not.
const rolloutLimit = time.Minute

// scarceMemory is how much memory a speaker is given under pressure: its heap alone is more.
const scarceMemory = "GOMEMLIMIT=6MiB"

// action begins a fault, and returns a function that ends the fault.
type action func(ctx context.Context, r *namespaces, f Fault) (end func() error, err error)

func nothing() error { return nil }

// actions has the action of each fault of the catalogue in network namespaces.
var actions = map[fault.Kind]action{
	"crash": func(_ context.Context, r *namespaces, f Fault) (func() error, error) {
		all := []wire.Network{wire.LAN, wire.Gossip, wire.API}
		err := errors.Join(r.lab.Carrier(f.Node, false, all...), r.lab.Kill(f.Node))
		return func() error { return errors.Join(r.lab.Carrier(f.Node, true, all...), r.lab.Start(f.Node, nil)) }, err
	},
	"kill": func(_ context.Context, r *namespaces, f Fault) (func() error, error) {
		return func() error { return r.lab.Start(f.Node, nil) }, r.lab.Kill(f.Node)
	},
	"stop": func(_ context.Context, r *namespaces, f Fault) (func() error, error) {
		return func() error { return r.lab.Start(f.Node, nil) }, r.stop(f.Node)
	},
	"rollout": func(ctx context.Context, r *namespaces, f Fault) (func() error, error) {
		ctx, cancel := context.WithTimeout(ctx, rolloutLimit)
		defer cancel()
		return nothing, r.lab.Rollout(ctx, f.Node)
	},
	"pause": func(_ context.Context, r *namespaces, f Fault) (func() error, error) {
		return func() error { return r.lab.Signal(f.Node, syscall.SIGCONT) }, r.lab.Signal(f.Node, syscall.SIGSTOP)
	},
	"gossip": cut(wire.Gossip),
	"lan":    cut(wire.LAN),
	"both":   cut(wire.LAN, wire.Gossip),
	"flap":   flap,
	"loss":   impair(wire.Impairment{Loss: 0.2}),
	"delay":  impair(wire.Impairment{Delay: 20 * time.Millisecond, Jitter: 40 * time.Millisecond}),
	"log-full": func(_ context.Context, r *namespaces, f Fault) (func() error, error) {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			return nothing, err
		}
		defer full.Close() // the process has its own
		return r.startedSo(f.Node, full)
	},
	"log-stuck": func(_ context.Context, r *namespaces, f Fault) (func() error, error) {
		reader, writer, err := os.Pipe()
		if err != nil {
			return nothing, err
		}
		defer writer.Close() // the process has its own
		// It is full from the first line on.
		if _, err := unix.FcntlInt(writer.Fd(), unix.F_SETPIPE_SZ, os.Getpagesize()); err != nil {
			return nothing, errors.Join(err, reader.Close())
		}
		if _, err := writer.Write(make([]byte, os.Getpagesize())); err != nil {
			return nothing, errors.Join(err, reader.Close())
		}
		end, err := r.startedSo(f.Node, writer)
		return func() error { return errors.Join(end(), reader.Close()) }, err
	},
	"memory": func(_ context.Context, r *namespaces, f Fault) (func() error, error) {
		return r.startedSo(f.Node, nil, scarceMemory)
	},
	"squeeze":  squeeze,
	"oom":      exhaust,
	"busy":     func(_ context.Context, r *namespaces, _ Fault) (func() error, error) { return r.lab.Idle, r.lab.Busy() },
	"api-node": cut(wire.API),
	"api-all": func(_ context.Context, r *namespaces, _ Fault) (func() error, error) {
		return func() error { return r.all(func(n int) error { return r.lab.Join(n, wire.API) }) },
			r.all(func(n int) error { return r.lab.Cut(n, wire.API) })
	},
	"api-restart": func(_ context.Context, r *namespaces, _ Fault) (func() error, error) {
		return r.server.Up, r.server.Down()
	},
	"api-slow": trouble(func(t *apiserver.Trouble, on bool) { t.Delay = either(on, 300*time.Millisecond) }),
	"api-429":  trouble(func(t *apiserver.Trouble, on bool) { t.Refuse = either[uint64](on, 2) }),
	"api-500":  trouble(func(t *apiserver.Trouble, on bool) { t.Fail = either[uint64](on, 2) }),
	"api-watch": func(ctx context.Context, r *namespaces, _ Fault) (func() error, error) {
		return r.repeatedly(ctx, func() error { r.server.HangUp(); return nil }), nil
	},
	"api-gone": func(_ context.Context, r *namespaces, _ Fault) (func() error, error) {
		r.server.Forget()
		r.server.HangUp()
		return nothing, nil
	},
	"token": func(_ context.Context, r *namespaces, _ Fault) (func() error, error) {
		return nothing, r.server.Rotate()
	},
	"certificate": func(_ context.Context, r *namespaces, _ Fault) (func() error, error) {
		err := r.server.Recertify()
		if err == nil {
			err = r.server.Down()
		}
		return r.server.Up, err
	},
	"keys": func(ctx context.Context, r *namespaces, f Fault) (func() error, error) {
		return ExchangeKeys(ctx, r.Seed, f, r.server.keys)
	},
	"config-bad": func(_ context.Context, r *namespaces, f Fault) (func() error, error) {
		return r.restoreConfiguration, r.server.configure(pick(r, f, breakages))
	},
	"config": func(_ context.Context, r *namespaces, f Fault) (func() error, error) {
		return r.restoreConfiguration, r.server.configure(pick(r, f, edits))
	},
	"config-restart": restartUnconfigured,
	"config-rollout": rollOutUnconfigured,
	"secret-gone":    deleteSecret,
	"watch-points":   hangUpOne,
	"kernel-address": giveKernelAddress,
	"gossip-start":   startWithoutGossip,
	"controller-kill": func(_ context.Context, r *namespaces, _ Fault) (func() error, error) {
		r.manager.kill()
		return r.startManager, nil
	},
	"controller-stop": func(_ context.Context, r *namespaces, _ Fault) (func() error, error) {
		return r.startManager, r.manager.stop()
	},
	"controller-two": func(_ context.Context, r *namespaces, _ Fault) (func() error, error) {
		first := r.manager
		return func() error { first.kill(); return nil }, r.startManager()
	},
	"controller-pause": func(_ context.Context, r *namespaces, _ Fault) (func() error, error) {
		first := r.manager
		if err := first.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			return nothing, err
		}
		led, err := first.led()
		if err != nil {
			return nothing, err
		}
		return func() error {
			if !led {
				first.kill() // the one before it had not given the Lease back, so that it still waited
				return nil
			}
			// The other controller has the Lease now, so this one must notice the loss, and decide nothing any more.
			err := first.cmd.Process.Signal(syscall.SIGCONT)
			if stays := first.awaitLoss(); stays != nil {
				r.Violate(time.Now(), fmt.Sprintf("controller-pause: %v", stays))
			}
			first.kill()
			return err
		}, r.startManager()
	},
}

func either[T any](on bool, value T) (none T) {
	if on {
		return value
	}
	return none
}

// pick chooses by the seed and the fault.
func pick(r *namespaces, f Fault, from []string) string {
	return from[rand.New(rand.NewPCG(r.Seed, uint64(f.At))).IntN(len(from))]
}

func cut(networks ...wire.Network) action {
	return func(_ context.Context, r *namespaces, f Fault) (func() error, error) {
		return func() error { return r.lab.Join(f.Node, networks...) }, r.lab.Cut(f.Node, networks...)
	}
}

func impair(how wire.Impairment) action {
	return func(_ context.Context, r *namespaces, f Fault) (func() error, error) {
		how.Seed = r.Seed + uint64(f.At)
		mend, err := r.lab.Impair(f.Node, how, wire.LAN, wire.Gossip)
		if err != nil {
			return nothing, err
		}
		return mend, nil
	}
}

func flap(ctx context.Context, r *namespaces, f Fault) (func() error, error) {
	up := true
	stop := r.repeatedly(ctx, func() error {
		up = !up
		return r.lab.Carrier(f.Node, up, wire.LAN)
	})
	return func() error { return errors.Join(stop(), r.lab.Carrier(f.Node, true, wire.LAN)) }, nil
}

func trouble(change func(*apiserver.Trouble, bool)) action {
	return func(_ context.Context, r *namespaces, _ Fault) (func() error, error) {
		r.server.Change(func(t *apiserver.Trouble) { change(t, true) })
		return func() error { r.server.Change(func(t *apiserver.Trouble) { change(t, false) }); return nil }, nil
	}
}

// ExchangeKeys exchanges the gossip keys as docs/operations.md describes: a new key beside the old one, then before the old
// one, then alone. edit changes the entries of the Secret.
func ExchangeKeys(ctx context.Context, seed uint64, f Fault, edit func(context.Context, func(map[string][]byte)) error) (end func() error, err error) {
	next := make([]byte, 32)
	random := rand.New(rand.NewPCG(seed, uint64(f.At)))
	for i := range next {
		next[i] = byte(random.Uint32())
	}
	// A change may happen twice, if its answer was lost.
	var old []byte
	if err := edit(ctx, func(k map[string][]byte) { old, k["key-2"] = k["key-1"], next }); err != nil {
		return nothing, err
	}
	if err := wire.Pause(ctx, f.For/2); err != nil {
		return nothing, err
	}
	err = edit(ctx, func(k map[string][]byte) { k["key-1"], k["key-2"] = next, old })
	return func() error {
		return edit(context.WithoutCancel(ctx), func(k map[string][]byte) { delete(k, "key-2") })
	}, err
}

// stop tells a node's speaker to stop. One that does not is killed, so that the soak can go on.
func (r *namespaces) stop(number int) error {
	err := r.lab.Stop(number)
	if err != nil && r.lab.Running(number) {
		err = errors.Join(err, r.lab.Kill(number))
	}
	if err != nil {
		r.Violate(time.Now(), fmt.Sprintf("stop: %v", err))
	}
	return nil
}

// startedSo starts a node's speaker anew in another way than usual, and again as usual in the end.
func (r *namespaces) startedSo(number int, output *os.File, environment ...string) (func() error, error) {
	if err := r.stop(number); err != nil {
		return nothing, err
	}
	return func() error {
		return errors.Join(r.stop(number), r.lab.Start(number, nil))
	}, r.lab.Start(number, output, environment...)
}

func (r *namespaces) all(f func(int) error) error {
	var err error
	for n := range r.Nodes {
		err = errors.Join(err, f(n))
	}
	return err
}

// repeatedly does something now and every second, until the returned function is called.
func (r *namespaces) repeatedly(ctx context.Context, what func() error) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		err := what()
		for err == nil && wire.Pause(ctx, time.Second) == nil {
			err = what()
		}
		ended <- err
	}()
	return func() error { cancel(); return <-ended }
}

func (r *namespaces) restoreConfiguration() error { return r.server.configure(configuration("", "")) }

func (r *namespaces) startManager() (err error) {
	r.managers++
	r.manager, err = startManager(r.controller, r.server.Kubeconfig(), r.Logs, r.lab.Host(), r.managers)
	return err
}
