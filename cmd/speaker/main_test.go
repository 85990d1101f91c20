package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/daemon"
)

func TestBadFlags(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"", "missing --node-name: give the name of the Node that this speaker runs on"},
		{"--node-name=a --gossip-port=0", "invalid value 0 for --gossip-port: must be 1 to 65535"},
		{"--node-name=a --gossip-port=70000", "invalid value 70000 for --gossip-port: must be 1 to 65535"},
		{"--node-name=a --gossip-address=here", `invalid value "here" for --gossip-address: must be an IP address`},
		{"--node-name=a --log-format=xml", `invalid value "xml" for --log-format: must be text or json`},
	} {
		var out bytes.Buffer
		err := run(t.Context(), strings.Fields(test.args), &out, &out)
		if usage, ok := errors.AsType[*daemon.UsageError](err); !ok || usage.Problem != test.want {
			t.Errorf("%s: %v, want the usage error %q", test.args, err, test.want)
		}
	}
}

// TestHelpIsDocumented holds docs/flags.md to what --help prints.
func TestHelpIsDocumented(t *testing.T) {
	var help bytes.Buffer
	if err := run(t.Context(), []string{"--help"}, &help, &help); !errors.Is(err, daemon.ErrDone) {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../../docs/flags.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(doc), "```\n"+help.String()+"```\n") {
		t.Errorf("docs/flags.md does not hold what lanlord-speaker --help prints:\n%s", help.String())
	}
}

// unreachable is a kubeconfig of an API server that is not there.
const unreachable = `apiVersion: v1
kind: Config
clusters: [{name: gone, cluster: {server: "http://127.0.0.1:1"}}]
contexts: [{name: gone, context: {cluster: gone}}]
current-context: gone
`

// TestStopsWithoutCluster starts against an API server that is not there, and is told to stop.
func TestStopsWithoutCluster(t *testing.T) {
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, []byte(unreachable), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	var out bytes.Buffer
	if err := run(ctx, []string{"--node-name=a", "--kubeconfig=" + kubeconfig, "--listen=127.0.0.1:0"}, &out, t.Output()); err != nil {
		t.Errorf("stopped with %v", err)
	}
}
