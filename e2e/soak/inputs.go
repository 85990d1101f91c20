package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lanlord/lanlord/e2e/wire"
)

// Faults that give nodes different inputs: one has no configuration, old objects, no gossip, or an address of its own.

// loseConfiguration breaks the ConfigMap or deletes it, and waits until all have heard of that.
func (r *namespaces) loseConfiguration(ctx context.Context, f Fault) error {
	random := rand.New(rand.NewPCG(r.Seed, uint64(f.At)))
	var err error
	if random.IntN(2) == 0 {
		err = r.server.Delete("configmaps", types.NamespacedName{Namespace: systemNamespace, Name: "config"})
	} else {
		err = r.server.configure(pick(r, f, breakages))
	}
	if err != nil {
		return err
	}
	return wire.Pause(ctx, time.Second)
}

func restartUnconfigured(ctx context.Context, r *namespaces, f Fault) (func() error, error) {
	if err := r.loseConfiguration(ctx, f); err != nil {
		return r.restoreConfiguration, err
	}
	return r.restoreConfiguration, errors.Join(r.lab.Kill(f.Node), r.lab.Start(f.Node, nil))
}

func rollOutUnconfigured(ctx context.Context, r *namespaces, f Fault) (func() error, error) {
	if err := r.loseConfiguration(ctx, f); err != nil {
		return r.restoreConfiguration, err
	}
	ctx, cancel := context.WithTimeout(ctx, rolloutLimit)
	defer cancel()
	return r.restoreConfiguration, r.lab.Rollout(ctx, f.Node)
}

// startWithoutGossip starts a speaker that no other one can hear until the fault ends.
func startWithoutGossip(_ context.Context, r *namespaces, f Fault) (func() error, error) {
	err := errors.Join(r.lab.Kill(f.Node), r.lab.Cut(f.Node, wire.Gossip), r.lab.Start(f.Node, nil))
	return func() error { return r.lab.Join(f.Node, wire.Gossip) }, err
}

// hangUpOne has one node list everything again and again, so that it has not seen deletions which the others have watched.
func hangUpOne(ctx context.Context, r *namespaces, f Fault) (func() error, error) {
	return r.repeatedly(ctx, func() error {
		r.server.Forget()
		r.server.HangUpOf(wire.APIAddress(f.Node))
		return nil
	}), nil
}

// deleteSecret deletes the keys of gossip. The controller has to make others, as soon as there is one; then the speakers use them.
func deleteSecret(ctx context.Context, r *namespaces, _ Fault) (func() error, error) {
	key := types.NamespacedName{Namespace: systemNamespace, Name: "lanlord-gossip"}
	before, err := r.server.Get("secrets", key)
	if err == nil {
		err = r.server.Delete("secrets", key)
	}
	return func() error {
		for limit := time.Now().Add(r.rules.Successor); ; {
			now, err := r.server.Get("secrets", key)
			if now != nil || err != nil {
				return err
			}
			if time.Now().After(limit) {
				r.Violate(time.Now(), fmt.Sprintf("secret-gone: nobody has made another gossip Secret within %v", r.rules.Successor))
				return r.server.Put(before)
			}
			if wire.Pause(ctx, 100*time.Millisecond) != nil {
				return r.server.Put(before)
			}
		}
	}, err
}

// kernelService names the Service that asks for an address of a kernel. Within kernelBound the node must have published the
// kernel's addresses.
const (
	kernelService = "kernel-address"
	kernelBound   = 9 * time.Second
)

// kernelAddress is of the pool, and no other Service's.
func kernelAddress() netip.Addr { return asked(250) }

// giveKernelAddress gives a node's kernel an address. When the node has told of that, a Service asks for the address: nobody gives it.
func giveKernelAddress(ctx context.Context, r *namespaces, f Fault) (func() error, error) {
	a := kernelAddress()
	own := netip.PrefixFrom(a, a.BitLen())
	key := types.NamespacedName{Namespace: appNamespace, Name: kernelService}
	end := func() error {
		service, err := r.server.Get("services", key)
		if s, ok := service.(*corev1.Service); ok && len(s.Status.LoadBalancer.Ingress) > 0 {
			r.Violate(time.Now(), fmt.Sprintf("kernel-address: %s, which the kernel of node-%d has, was given to a Service", a, f.Node))
		}
		return errors.Join(err, r.server.Delete("services", key), r.lab.RemoveAddress(f.Node, "eth0", own))
	}
	if err := r.lab.AddAddress(f.Node, "eth0", own); err != nil {
		return nothing, err
	}
	told, err := r.told(ctx, f.Node, a)
	if err != nil {
		return end, err
	}
	if !told {
		r.Violate(time.Now(), fmt.Sprintf("kernel-address: node-%d has not told within %v that its kernel has %s", f.Node, kernelBound, a))
		return end, nil
	}
	return end, r.server.Put((&Wish{Name: kernelService, Flavour: Asking, Asked: a}).Service(appNamespace))
}

// told waits until a node's speaker has written into the annotations of its Pod that the kernel has an address.
func (r *namespaces) told(ctx context.Context, number int, a netip.Addr) (bool, error) {
	pod := types.NamespacedName{Namespace: systemNamespace, Name: "speaker-" + r.lab.Nodes()[number]}
	for limit := time.Now().Add(kernelBound); time.Now().Before(limit); {
		o, err := r.server.Get("pods", pod)
		if err != nil {
			return false, err
		}
		if p, ok := o.(*corev1.Pod); ok && strings.Contains(p.Annotations["lanlord.io/networks"], `"`+a.String()+`"`) {
			return true, nil
		}
		if err := wire.Pause(ctx, 100*time.Millisecond); err != nil {
			return false, nil
		}
	}
	return false, nil
}
