package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// The names that lib.sh gives to what cluster.sh makes.
const (
	clusterName = "lanlord"
	NetworkName = "lanlord"
	ClientName  = "lanlord-client"

	// BridgeName is the host's bridge of the nodes' network.
	BridgeName = "br-lanlord"

	// EchoImage answers HTTP on port 80 with the name of its pod.
	EchoImage = "lanlord-e2e/echo:dev"
)

// Time for one command or one change of state, ample on a busy machine.
const patience = 2 * time.Minute

// Lab is the laboratory as one test sees it.
type Lab struct {
	Clientset kubernetes.Interface

	t          testing.TB
	cluster    *Cluster
	runDir     string // of the scripts
	kubeconfig string
	used       *addressBook
	leaving    *[]string // namespaces that are being deleted
	trace      string    // the client's file with the frames of this test
	explained  *bool     // whether what explains the test's failure is saved
	client     []string  // what comes before a command of the client: the container, and how to get to it there
}

// Check returns an error that says what to do if there is no laboratory.
func Check() error {
	kubeconfig, err := kubeconfigPath()
	if err != nil {
		return err
	}
	raw, err := clientcmd.LoadFromFile(kubeconfig)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("no cluster (no %s): run e2e/cluster.sh up", kubeconfig)
	}
	if err != nil {
		return err
	}
	// The tests kill nodes. They must never do so to a cluster that happens to be configured.
	if want := "kind-" + clusterName; raw.CurrentContext != want {
		return fmt.Errorf("%s is of context %q, not of the laboratory's %q", kubeconfig, raw.CurrentContext, want)
	}
	return nil
}

// untilEnv is when the last test may begin, in seconds of Unix time, where there is a limit to all of them.
const untilEnv = "LANLORD_E2E_UNTIL"

// Open returns the laboratory and records the wire until the test ends. If the test
// fails, all that explains it is saved in a folder that the log names. It skips the test if it is too late for it.
func Open(t testing.TB) *Lab {
	t.Helper()
	if text := os.Getenv(untilEnv); text != "" {
		until, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			t.Fatalf("%s=%q: want seconds of Unix time", untilEnv, text)
		}
		if time.Now().Unix() > until {
			t.Skipf("no time left: %s was %s", untilEnv, time.Unix(until, 0).Format(time.TimeOnly))
		}
	}
	cluster, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	l := &Lab{Clientset: cluster.Clientset, t: t, cluster: cluster, runDir: cluster.runDir, kubeconfig: cluster.kubeconfig, used: new(addressBook), leaving: new([]string), explained: new(bool), client: []string{ClientName}}
	l.recordUntilEnd()
	t.Cleanup(l.waitUntilGone)
	return l
}

// Sub returns the laboratory for a subtest, which alone fails and mends what it breaks.
func (l *Lab) Sub(t testing.TB) *Lab {
	sub := *l
	sub.t = t
	return &sub
}

// cacheDir is the one that lib.sh uses.
func cacheDir() (string, error) {
	if dir := os.Getenv("LANLORD_CACHE"); dir != "" {
		return dir, nil
	}
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "lanlord"), err
}

func runDirPath() (string, error) {
	dir, err := cacheDir()
	return filepath.Join(dir, "run"), err
}

func kubeconfigPath() (string, error) {
	if path := os.Getenv("LANLORD_E2E_KUBECONFIG"); path != "" {
		return path, nil
	}
	dir, err := runDirPath()
	return filepath.Join(dir, "kubeconfig"), err
}

// WaitFor calls condition until it returns nil, and fails the test with its last
// error if that takes longer than within. It returns how long it took. What takes long is asked for
// less often: many conditions start a program in a container, which keeps two cores from what is waited for.
func (l *Lab) WaitFor(what string, within time.Duration, condition func(context.Context) error) time.Duration {
	l.t.Helper()
	start := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	var last error
	for {
		err := condition(ctx)
		if err == nil {
			return time.Since(start)
		}
		// An answer that the deadline cut off says less than the one before it.
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			l.t.Fatalf("waited %v for %s: %v", within, what, last)
		case <-time.After(min(max(time.Since(start)/8, 20*time.Millisecond), 400*time.Millisecond)):
		}
	}
}

// run executes a program and returns what it printed.
func run(ctx context.Context, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var stdout, stderr strings.Builder
	command := exec.CommandContext(ctx, program, args...)
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w: %s", filepath.Base(program), strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// docker runs the docker client; the test fails if that does.
func (l *Lab) docker(args ...string) string {
	l.t.Helper()
	output, err := run(context.Background(), "docker", args...)
	if err != nil {
		l.t.Fatal(err)
	}
	return output
}
