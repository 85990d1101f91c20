package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/lanlord/lanlord/pkg/inspect"
	"github.com/lanlord/lanlord/pkg/status"
)

func (p *plugin) probe() *cobra.Command {
	command := p.command("probe SERVICE|ADDRESS", "Probe the path of clients to an address from every node, and name the broken hop",
		args("one Service (namespace/name, or a name with -n namespace) or one address", 1, 1), ordinary,
		func(ctx context.Context, c *inspect.Cluster, a access, args []string) (report, error) {
			addrs, err := p.probed(c, args[0])
			if err != nil {
				return nil, err
			}
			r, err := p.probeAll(ctx, c, a, addrs)
			if err != nil {
				return nil, err
			}
			return r, verdict(r.Well(), r.Known())
		})
	command.Long = command.Short + ".\n\nEvery speaker asks by ARP or NDP who answers for the address, and sends a TCP SYN for each TCP port to the host " +
		"that answers. A RST follows each answer, so no program in a Pod sees a connection. It needs the right to execute in the Pods of Lanlord. " +
		"Exit status 1 if a hop is broken, 2 if the probes prove nothing."
	command.Example = `  kubectl lanlord probe web                # all addresses of the Service
  kubectl lanlord probe 192.0.2.10
  kubectl lanlord probe shop/cart -o json | jq '.addresses[].detail'`
	command.ValidArgsFunction = p.completeServices
	return command
}

// probed returns the addresses that an argument means.
func (p *plugin) probed(c *inspect.Cluster, argument string) ([]netip.Addr, error) {
	if _, err := netip.ParseAddr(argument); err == nil {
		addr, err := parseAddress(argument)
		return []netip.Addr{addr}, err
	}
	key, err := p.serviceKey(argument)
	if err != nil {
		return nil, err
	}
	s := c.Service(key)
	switch {
	case s == nil:
		return nil, fmt.Errorf("%s is no Service of Lanlord; kubectl lanlord why %s says why", key, key)
	case len(s.Ingress) == 0:
		return nil, fmt.Errorf("the Service %s has no address; kubectl lanlord why %s says why", key, key)
	}
	return s.Ingress, nil
}

// probeAll lets every speaker probe the addresses, one address after the other.
func (p *plugin) probeAll(ctx context.Context, c *inspect.Cluster, a access, addrs []netip.Addr) (inspect.PathReport, error) {
	pods, err := listLanlord(ctx, a, c.Namespace)
	if err != nil {
		return inspect.PathReport{}, describe(err)
	}
	pods = slices.DeleteFunc(pods, func(pod corev1.Pod) bool { return pod.Labels[componentLabel] != speakerComponent })
	r := inspect.PathReport{NotKnown: c.Gaps}
	for _, addr := range addrs {
		found, err := askPaths(ctx, a, pods, addr)
		if err != nil {
			return inspect.PathReport{}, describe(err)
		}
		path := inspect.Paths(c, addr, found)
		explainSilence(ctx, a, c, &path)
		r.Addresses = append(r.Addresses, path)
	}
	return r, nil
}

// askPaths asks all speakers for the path to an address. The error is that of a user without the right to execute in
// the Pods.
func askPaths(ctx context.Context, a access, pods []corev1.Pod, addr netip.Addr) ([]status.Path, error) {
	var group errgroup.Group
	group.SetLimit(askedAtOnce)
	var mu sync.Mutex
	var found []status.Path
	for i := range pods {
		pod := &pods[i]
		group.Go(func() error {
			f, err := askPath(ctx, a, pod, addr)
			mu.Lock()
			defer mu.Unlock()
			found = append(found, f)
			return err
		})
	}
	return found, group.Wait()
}

// askPath asks the speaker of a Pod. A speaker that does not answer is a finding with a problem.
func askPath(ctx context.Context, a access, pod *corev1.Pod, addr netip.Addr) (status.Path, error) {
	f := status.Path{Node: pod.Spec.NodeName, Address: addr.String(), Stations: []status.Station{}, Probes: []status.PathProbe{}}
	program, ok := running(pod)
	if !ok {
		f.Problem = "its container does not run"
		return f, nil
	}
	text, err := a.execute(ctx, target{
		namespace: pod.Namespace, pod: pod.Name, container: pod.Spec.Containers[0].Name, command: []string{program, "path", addr.String()},
	})
	switch {
	case apierrors.IsForbidden(err):
		return f, err
	case err != nil:
		f.Problem = silenceOf(err)
		return f, nil
	}
	said := f
	if err := json.Unmarshal(text, &said); err != nil {
		f.Problem = fmt.Sprintf("its answer could not be read: %v", err)
		return f, nil
	}
	return said, nil
}
