// Command speaker answers ARP and NDP for the addresses of Services on one node, by agreement with the speakers of the
// other nodes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"github.com/lanlord/lanlord/pkg/daemon"
	"github.com/lanlord/lanlord/pkg/kube"
	"github.com/lanlord/lanlord/pkg/pace"
	"github.com/lanlord/lanlord/pkg/page"
	"github.com/lanlord/lanlord/pkg/schedslice"
	"github.com/lanlord/lanlord/pkg/serviceproxy"
)

const (
	name  = "lanlord-speaker"
	about = "Answers ARP and NDP for the addresses of Services on this node, by agreement with the speakers of the other nodes. " +
		"As \"speaker probe live\" or \"speaker probe ready\" it only asks the one that runs in the same Pod, which the environment " +
		"variable POD_NAME names: it prints the answer and exits with status 0 for yes, 1 for no. As \"speaker status\" it prints as JSON what " +
		"that one knows."
)

func main() { os.Exit(daemon.Main(name, run)) }

// flags are the common flags and the speaker's own.
type flags struct {
	daemon.Flags
	nodeName      string
	podName       string
	gossipAddress netip.Addr
	gossipPort    uint16
	proxyMetrics  string
}

func parseFlags(args []string, stdout io.Writer) (flags, error) {
	var f flags
	set := flag.NewFlagSet(name, flag.ContinueOnError)
	f.Register(set)
	set.StringVar(&f.nodeName, "node-name", "", "`name` of the Node that this speaker runs on; required")
	set.Func("gossip-address", "`address` to gossip on with the other speakers; empty means the Node's first InternalIP", func(s string) (err error) {
		if f.gossipAddress, err = netip.ParseAddr(s); err != nil {
			return errors.New("must be an IP address")
		}
		return nil
	})
	set.StringVar(&f.podName, "pod-name", os.Getenv(podEnv),
		"`name` of the Pod of this speaker, on which it notes the subnets and default gateways of its node, for the controller not "+
			"to hand out; the default is taken from the environment variable POD_NAME")
	set.StringVar(&f.proxyMetrics, "kube-proxy-metrics", "127.0.0.1:10249", "`address` (host:port) of the metrics of this node's kube-proxy: "+
		"after the node has booted no address is taken before they say that it has its rules, or 15 s have passed in which nobody "+
		"answered; empty means not to wait")
	port := set.Uint("gossip-port", 7950, "`port` (TCP and UDP) to gossip on, the same on all nodes")
	if err := f.Parse(set, about, args, stdout); err != nil {
		return flags{}, err
	}
	if f.nodeName == "" {
		return flags{}, &daemon.UsageError{Problem: "missing --node-name: give the name of the Node that this speaker runs on"}
	}
	if *port == 0 || *port > 65535 {
		return flags{}, &daemon.UsageError{Problem: fmt.Sprintf("invalid value %d for --gossip-port: must be 1 to 65535", *port)}
	}
	if _, err := netip.ParseAddrPort(f.proxyMetrics); f.proxyMetrics != "" && err != nil {
		return flags{}, &daemon.UsageError{Problem: fmt.Sprintf("invalid value %q for --kube-proxy-metrics: must be empty, or host:port with an IP address", f.proxyMetrics)}
	}
	f.gossipPort = uint16(*port)
	return f, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	switch {
	case len(args) > 0 && args[0] == probeCommand:
		return probe(ctx, args[1:], stdout)
	case len(args) > 0 && args[0] == statusCommand:
		return daemon.StatusCommand(ctx, os.Getenv(podEnv), args[1:], stdout)
	}
	f, err := parseFlags(args, stdout)
	if err != nil {
		return err
	}
	log := f.Logger(stderr)
	if err := daemon.BridgeKlog(log); err != nil {
		return err
	}
	if err := schedslice.Ask(); err != nil {
		log.Info("the kernel gives no short slices, so that on a busy node others run before this speaker", "err", err)
	}
	registry := daemon.NewRegistry()
	client, err := kube.ConnectMeasured(f.Kubeconfig, name, registry)
	if err != nil {
		return err
	}
	p := &program{flags: f, client: client, log: log, registry: registry, wake: make(chan struct{}, 1), started: time.Now()}
	p.proxy = serviceproxy.New(f.proxyMetrics, log)
	p.store = kube.New(kube.Options{
		Client: client, Namespace: f.Namespace, ConfigMap: f.ConfigMap, LoadBalancerClass: f.LoadBalancerClass,
		Nodes: true, Endpoints: true, Secret: true, Component: name, Host: f.nodeName,
		Log: log, Wake: pace.New(p.poke).Call, Registerer: p.registry,
	})
	log.Info("starting", "version", daemon.Version(), "node", f.nodeName)

	// The speaker leaves before anything that it needs for leaving is stopped.
	leave := ctx
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	return daemon.RunTasks(ctx,
		daemon.Task{Name: "watch the cluster", Run: p.store.Run},
		daemon.Task{Name: "announce addresses", Run: func(ctx context.Context) error {
			defer stop()
			return p.speak(ctx, leave)
		}},
		daemon.Task{Name: "serve HTTP", Run: daemon.NewServer(daemon.ServerOptions{
			Listen: f.Listen, Rebindable: true, Pod: os.Getenv(podEnv), Metrics: p.registry, PProf: f.PProf, Log: log,
			Checks: []daemon.Check{{Name: "speaker", Ready: p.ready}},
			Status: page.Speaker(p.status), StatusListen: f.StatusListen,
		}).Run},
	)
}
