// Command controller assigns an address to every Service of type LoadBalancer, out of the ranges of a ConfigMap.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/controller"
	"github.com/lanlord/lanlord/pkg/daemon"
	"github.com/lanlord/lanlord/pkg/kube"
)

const (
	name  = "lanlord-controller"
	about = "Assigns an address to every Service of type LoadBalancer, out of the ranges of a ConfigMap."
)

func main() { os.Exit(daemon.Main(name, run)) }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var flags daemon.Flags
	set := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.Register(set)
	checkConfig := set.String("check-config", "",
		"check the configuration in `file` (a ConfigMap or the bare document, - for standard input), print what it means, and exit")
	if err := flags.Parse(set, about, args, stdout); err != nil {
		return err
	}
	if *checkConfig != "" {
		return check(*checkConfig, stdout)
	}
	return serve(ctx, flags, stderr)
}

// check prints the configuration in file as it is understood, or returns all that is wrong with it.
func check(file string, stdout io.Writer) error {
	var data []byte
	var err error
	if file == "-" {
		data, err = io.ReadAll(os.Stdin)
	} else {
		data, err = os.ReadFile(file)
	}
	if err != nil {
		return fmt.Errorf("--check-config: %w", err)
	}
	return config.Check(data, stdout)
}

func serve(ctx context.Context, flags daemon.Flags, stderr io.Writer) error {
	log := flags.Logger(stderr)
	if err := daemon.BridgeKlog(log); err != nil {
		return err
	}
	client, err := kube.Connect(flags.Kubeconfig, name)
	if err != nil {
		return err
	}
	registry := daemon.NewRegistry()
	var loop *controller.Controller
	store := kube.New(kube.Options{
		Client: client, Namespace: flags.Namespace, ConfigMap: flags.ConfigMap, LoadBalancerClass: flags.LoadBalancerClass,
		Component: name, Host: hostname(), Log: log, Wake: func() { loop.Wake() }, Registerer: registry,
	})
	loop = controller.New(controller.Options{Source: store, Writer: store, Log: log, Registerer: registry})

	// Only the holder of the Lease decides, and only once it has seen what the last holder wrote.
	lead := func(ctx context.Context) error {
		if err := store.WaitSynced(ctx); err != nil {
			return err
		}
		if err := kube.EnsureGossipSecret(ctx, client, flags.Namespace, log); err != nil {
			return err
		}
		if err := store.WaitFresh(ctx); err != nil {
			return err
		}
		return loop.Run(ctx)
	}
	log.Info("starting", "version", daemon.Version())
	return daemon.RunTasks(ctx,
		daemon.Task{Name: "watch the cluster", Run: store.Run},
		daemon.Task{Name: "assign addresses", Run: func(ctx context.Context) error {
			return kube.Lead(ctx, client, flags.Namespace, name, hostname()+"_"+rand.Text()[:8], log, lead)
		}},
		daemon.Task{Name: "serve HTTP", Run: daemon.NewServer(daemon.ServerOptions{
			Listen: flags.Listen, Metrics: registry, PProf: flags.PProf, Log: log,
			Checks: []daemon.Check{{Name: "cluster", Ready: func() error {
				if !store.Synced() {
					return errors.New("the Services and the ConfigMap have not been read yet")
				}
				return nil
			}}},
		}).Run},
	)
}

// hostname names this process in Events and in the Lease; in a pod it is the pod's name.
func hostname() string {
	h, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return h
}
