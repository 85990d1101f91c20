package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"

	"github.com/lanlord/lanlord/pkg/daemon"
)

// flags holds the common flags and the flags of the speaker.
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
	set.Func("gossip-address", "`address` to gossip on with the other speakers; empty means the Node's first "+
		"InternalIP of the address family that all nodes have, or most of them", func(s string) (err error) {
		if f.gossipAddress, err = netip.ParseAddr(s); err != nil {
			return errors.New("must be an IP address")
		}
		return nil
	})
	set.StringVar(&f.podName, "pod-name", os.Getenv(podEnv),
		"`name` of the Pod of this speaker, on which it notes the subnets and default gateways of its node, for the "+
			"controller not to hand out; the default is taken from the environment variable POD_NAME")
	set.StringVar(&f.proxyMetrics, "kube-proxy-metrics", "127.0.0.1:10249",
		"`address` (host:port) of the metrics of this node's kube-proxy: after the node has booted no address is "+
			"taken before they say that it has its rules, or 15 s have passed in which nobody answered; empty means "+
			"not to wait")
	port := set.Uint("gossip-port", 7950, "`port` (TCP and UDP) to gossip on, the same on all nodes")
	if err := f.Parse(set, about, args, stdout); err != nil {
		return flags{}, err
	}
	if f.nodeName == "" {
		return flags{},
			&daemon.UsageError{Problem: "missing --node-name: give the name of the Node that this speaker runs on"}
	}
	if *port == 0 || *port > 65535 {
		return flags{},
			&daemon.UsageError{Problem: fmt.Sprintf("invalid value %d for --gossip-port: must be 1 to 65535", *port)}
	}
	if _, err := netip.ParseAddrPort(f.proxyMetrics); f.proxyMetrics != "" && err != nil {
		return flags{}, &daemon.UsageError{Problem: fmt.Sprintf("invalid value %q for --kube-proxy-metrics: must be "+
			"empty, or host:port with an IP address", f.proxyMetrics)}
	}
	f.gossipPort = uint16(*port)
	return f, nil
}
