package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/lanlord/lanlord/pkg/status"
)

// unreachable is a kubeconfig of an API server that is not there.
const unreachable = `apiVersion: v1
kind: Config
clusters: [{name: gone, cluster: {server: "http://127.0.0.1:1"}}]
contexts: [{name: gone, context: {cluster: gone}}]
current-context: gone
`

// listening is a log that tells when the controller can be asked.
type listening struct {
	t     *testing.T
	pod   string
	lines chan struct{}
}

func (l *listening) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("address=@lanlord/"+l.pod)) {
		close(l.lines)
	}
	return l.t.Output().Write(line)
}

// TestStatus asks a controller that waits for a cluster.
func TestStatus(t *testing.T) {
	pod := "controller-" + rand.Text()
	t.Setenv("POD_NAME", pod)
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, []byte(unreachable), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	log := &listening{t: t, pod: pod, lines: make(chan struct{})}
	stopped := make(chan error, 1)
	go func() {
		stopped <- run(ctx, []string{"--kubeconfig=" + kubeconfig, "--listen=", "--status-listen="}, log, log)
	}()
	defer func() {
		cancel()
		if err := <-stopped; err != nil {
			t.Errorf("stopped with %v", err)
		}
	}()
	select {
	case <-log.lines:
	case err := <-stopped:
		stopped <- nil
		t.Fatalf("ended with %v", err)
	}
	var told bytes.Buffer
	if err := run(t.Context(), []string{"status"}, &told, &told); err != nil {
		t.Fatal(err)
	}
	var s status.Controller
	if err := json.Unmarshal(told.Bytes(), &s); err != nil || s.Kind != status.KindController || s.Pod != pod || s.Role != status.Standby ||
		s.Connected || !s.Configuration.Stale || s.Pools == nil || s.Services == nil || s.HeldBack == nil {
		t.Errorf("status: %v\n%s", err, told.String())
	}
}
