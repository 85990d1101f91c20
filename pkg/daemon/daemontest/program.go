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

// Program is what a program's main calls.
type Program func(ctx context.Context, args []string, stdout, stderr io.Writer) error

const unreachable = `apiVersion: v1
kind: Config
clusters: [{name: gone, cluster: {server: "http://127.0.0.1:1"}}]
contexts: [{name: gone, context: {cluster: gone}}]
current-context: gone
`

// Unreachable returns the path of a kubeconfig of an API server that is not there.
func Unreachable(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte(unreachable), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// BadArguments runs the program with arguments, separated by blanks, that it must refuse, and so say why.
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

// HelpIsDocumented holds a page to what the program prints with --help.
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

// Start runs the program of this pod, whose name the environment variable POD_NAME must say, until the test ends, and returns when
// it can be asked for its status.
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

// listening is a log that tells when the program can be asked.
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
