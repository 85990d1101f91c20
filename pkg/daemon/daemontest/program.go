package daemontest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanlord/lanlord/pkg/daemon"
)

// Program is the function that main calls.
type Program func(ctx context.Context, args []string, stdout, stderr io.Writer) error

const unreachable = `apiVersion: v1
kind: Config
clusters: [{name: gone, cluster: {server: "http://127.0.0.1:1"}}]
contexts: [{name: gone, context: {cluster: gone}}]
current-context: gone
`

// Unreachable returns the path of a kubeconfig that names an unreachable API server.
func Unreachable(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte(unreachable), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// BadArguments checks the usage error of the program for invalid arguments. problems maps arguments, separated by
// blanks, to the error.
func BadArguments(t *testing.T, run Program, problems map[string]string) {
	t.Helper()
	for args, want := range problems {
		var out bytes.Buffer
		err := run(t.Context(), strings.Fields(args), &out, &out)
		if usage, ok := errors.AsType[*daemon.UsageError](err); !ok || usage.Problem != want {
			t.Errorf("%s: %v, want the usage error %q", args, err, want)
		}
	}
}

// HelpIsDocumented checks that a page contains the output of --help.
func HelpIsDocumented(t *testing.T, run Program, page string) {
	t.Helper()
	var help bytes.Buffer
	if err := run(t.Context(), []string{"--help"}, &help, &help); !errors.Is(err, daemon.ErrDone) {
		t.Fatal(err)
	}
	doc, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(doc), "```\n"+help.String()+"```\n") {
		t.Errorf("%s does not hold what --help prints:\n%s", page, help.String())
	}
}

// Start runs the program until the test ends, and returns as soon as the program answers requests for its status. The
// environment variable POD_NAME must be pod.
func Start(t *testing.T, run Program, pod string, args ...string) {
	t.Helper()
	log := &listening{t: t, pod: pod, listens: make(chan struct{})}
	stopped := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { stopped <- run(ctx, args, log, log) }()
	select {
	case <-log.listens:
	case err := <-stopped:
		cancel()
		t.Fatalf("ended with %v", err)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-stopped; err != nil {
			t.Errorf("stopped with %v", err)
		}
	})
}

// listening is a log that closes listens when the program answers requests.
type listening struct {
	t       *testing.T
	pod     string
	listens chan struct{}
}

func (l *listening) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("address=@lanlord/"+l.pod)) {
		close(l.listens)
	}
	return l.t.Output().Write(line)
}
