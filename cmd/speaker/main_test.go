package main

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/daemon/daemontest"
)

func TestBadFlags(t *testing.T) {
	daemontest.BadArguments(t, run, map[string]string{
		"": "missing --node-name: give the name of the Node that this speaker " +
			"runs on",
		"--node-name=a --gossip-port=0":       "invalid value 0 for --gossip-port: must be 1 to 65535",
		"--node-name=a --gossip-port=70000":   "invalid value 70000 for --gossip-port: must be 1 to 65535",
		"--node-name=a --gossip-address=here": `invalid value "here" for --gossip-address: must be an IP address`,
		"--node-name=a --log-format=xml":      `invalid value "xml" for --log-format: must be text or json`,
	})
}

// TestHelpIsDocumented compares docs/flags.md with the output of --help.
func TestHelpIsDocumented(t *testing.T) {
	daemontest.HelpIsDocumented(t, run, "../../docs/flags.md")
}

// TestStopsWithoutCluster starts against an unreachable API server, and is told to stop.
func TestStopsWithoutCluster(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	var out bytes.Buffer
	if err := run(ctx, []string{"--node-name=a", "--kubeconfig=" + daemontest.Unreachable(t), "--listen=127.0.0.1:0"},
		&out, t.Output()); err != nil {
		t.Errorf("stopped with %v", err)
	}
}
