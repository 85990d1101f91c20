// Command controller assigns an address to every Service of type LoadBalancer, out of the ranges of a ConfigMap.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"io"
	"os"
	"time"

	"github.com/lanlord/lanlord/pkg/controller"
	"github.com/lanlord/lanlord/pkg/daemon"
	"github.com/lanlord/lanlord/pkg/kube"
	"github.com/lanlord/lanlord/pkg/page"
)

const (
	name  = "lanlord-controller"
	about = "Assigns an address to every Service of type LoadBalancer, out of the ranges of a ConfigMap, or of MetalLB's custom resources. As \"controller status\" it prints " +
		"as JSON the state of the controller in the same Pod, which the environment variable POD_NAME names. As \"controller probe URL [PATIENCE]\" it requests a page of a process " +
		"until the answer is 200, for a minute or the given time at most."
)

// firstNetworks is the longest time that the first addresses of a new cluster wait for a speaker to report the
// gateways. No Service may get the address of a gateway. In a cluster without speakers the addresses wait for that
// time.
const firstNetworks = 5 * time.Second

func main() { os.Exit(daemon.Main(name, run)) }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 && args[0] == statusCommand {
		return daemon.StatusCommand(ctx, os.Getenv(podEnv), args[1:], stdout)
	}
	if len(args) > 0 && args[0] == "probe" {
		return daemon.ProbeURLCommand(ctx, args[1:], stdout)
	}
	var flags daemon.Flags
	set := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.Register(set)
	checkConfig := set.String("check-config", "",
		"check the configuration in `file` (a ConfigMap or the bare document, - for standard input), print what it means, and exit")
	againstCluster := set.Bool("against-cluster", false,
		"with --check-config, also print which Services of the cluster would get other addresses, and which; Lanlord is looked for in the "+
			"namespace of the ConfigMap in the file and then everywhere, unless --namespace is given; the exit status is 1 when a "+
			"Service would lose an address")
	fromMetalLB := set.String("from-metallb-crs", "",
		"read MetalLB's resources in `file` (YAML as kubectl get prints it, - for standard input), print the ConfigMap that means "+
			"the same, say on standard error what has no counterpart, and exit")
	gateways := set.Bool("gateways", false,
		"read the Gateways of the Gateway API: no Service gets the address of one, and the Service of one gets the addresses in its "+
			"spec; needs the right to list and watch gateways.gateway.networking.k8s.io")
	if err := flags.Parse(set, about, args, stdout); err != nil {
		return err
	}
	switch {
	case *fromMetalLB != "" && *checkConfig != "":
		return &daemon.UsageError{Problem: "--from-metallb-crs and --check-config are two things to do; give what the one prints to the other"}
	case *fromMetalLB != "":
		return fromCRs(*fromMetalLB, flags, stdout, stderr)
	case *checkConfig != "":
		return check(ctx, *checkConfig, *againstCluster, set, flags, *gateways, stdout)
	case *againstCluster:
		return &daemon.UsageError{Problem: "--against-cluster goes with --check-config"}
	}
	return serve(ctx, flags, *gateways, stderr)
}

func serve(ctx context.Context, flags daemon.Flags, gateways bool, stderr io.Writer) error {
	log := flags.Logger(stderr)
	if err := daemon.BridgeKlog(log); err != nil {
		return err
	}
	registry := daemon.NewRegistry()
	client, err := kube.ConnectMeasured(flags.Kubeconfig, name, registry)
	if err != nil {
		return err
	}
	var loop *controller.Controller
	options := storeOptions(flags, client)
	options.Gateways = gateways
	options.Log, options.Wake, options.Registerer = log, func() { loop.Wake() }, registry
	lease := kube.NewLease(kube.LeaseOptions{
		Client: client, Namespace: flags.Namespace, Name: name, Pod: podIdentity(),
		Identity: identity(), Log: log,
	})
	options.Check = lease.Check
	store := kube.New(options)
	loop = controller.New(controller.Options{Source: store, Writer: store, Log: log, Registerer: registry, AddressMetrics: flags.AddressMetrics})

	teller := &teller{store: store, loop: loop, started: time.Now()}
	key, collector := kube.NewViewerKey(client, flags.Namespace), newCollector(client, flags.Namespace)
	sight := newSight(sightOptions{
		collect: collector.statuses, key: key.Get, snapshot: store.Snapshot, now: time.Now, namespace: flags.Namespace, configMap: flags.ConfigMap,
		metalLB: flags.MetalLB(), class: flags.LoadBalancerClass,
	})

	// Only the holder of the Lease decides, and only after seeing the last writes of the previous holder.
	decide := func(ctx context.Context) error {
		if err := store.WaitFresh(ctx); err != nil {
			return err
		}
		store.WaitNetworks(ctx, firstNetworks)
		return loop.Run(ctx)
	}
	lead := func(ctx context.Context) error {
		defer teller.lead()()
		if err := store.WaitSynced(ctx); err != nil {
			return err
		}
		if err := kube.EnsureGossipSecret(ctx, client, flags.Namespace, log); err != nil {
			return err
		}
		return daemon.RunTasks(ctx,
			daemon.Task{Name: "decide", Run: decide},
			daemon.Task{Name: "keep the state", Run: store.KeepState},
			daemon.Task{Name: "end withdraw-delays", Run: store.EndDelays},
			daemon.Task{Name: "report routes", Run: (&controller.RoutesReporter{Source: store, Writer: store, Log: log}).Run},
			daemon.Task{Name: "keep the gossip key", Run: func(ctx context.Context) error {
				return kube.KeepGossipSecret(ctx, client, flags.Namespace, log)
			}},
			daemon.Task{Name: "keep the viewer key", Run: func(ctx context.Context) error {
				return kube.KeepViewerSecret(ctx, client, flags.Namespace, log)
			}},
		)
	}
	log.Info("starting", "version", daemon.Version())
	return daemon.RunTasks(ctx,
		daemon.Task{Name: "watch the cluster", Run: store.Run},
		daemon.Task{Name: "give memory back", Run: daemon.GiveBack(func() {})},
		daemon.Task{Name: "assign addresses", Run: func(ctx context.Context) error {
			return lease.Lead(ctx, lead)
		}},
		daemon.Task{Name: "serve HTTP", Run: daemon.NewServer(daemon.ServerOptions{
			Key: key.Get, Statuses: collector, Installed: newInstalled(client, flags.Namespace, store.Synced),
			Listen: flags.Listen, Status: page.Controller(teller.status, sight.look), StatusListen: flags.StatusListen, Pod: os.Getenv(podEnv), Metrics: registry, PProf: flags.PProf, Log: log,
			Checks: []daemon.Check{{Name: "cluster", Ready: func() error {
				if !store.Synced() {
					return errors.New("the Services and the ConfigMap have not been read yet")
				}
				return nil
			}}},
		}).Run},
	)
}

// storeOptions returns the options of the controller's Store.
func storeOptions(flags daemon.Flags, client kube.Client) kube.Options {
	return kube.Options{
		Client: client, Namespace: flags.Namespace, ConfigMap: flags.ConfigMap, MetalLB: flags.MetalLB(), LoadBalancerClass: flags.LoadBalancerClass,
		Nodes: true, Namespaces: true, Speakers: true, Component: name, Host: hostname(),
	}
}

// podIdentity identifies the Pod of this process for the Lease. podIdentity returns an empty string outside of a Pod,
// and with a manifest of an earlier version.
func podIdentity() string {
	if uid := os.Getenv(podUIDEnv); uid != "" {
		return hostname() + "_" + uid
	}
	return ""
}

// identity distinguishes this process from all other processes of its Pod, and outside of a Pod from all other
// processes.
func identity() string {
	if podIdentity() != "" {
		return rand.Text()[:8]
	}
	return hostname() + "_" + rand.Text()[:8]
}

// hostname returns the name of this process in Events. In a Pod, that name is the name of the Pod.
func hostname() string {
	h, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return h
}
