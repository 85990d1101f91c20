package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"testing"

	"github.com/lanlord/lanlord/pkg/daemon/daemontest"
	"github.com/lanlord/lanlord/pkg/status"
)

// TestStatus asks a controller that waits for a cluster.
func TestStatus(t *testing.T) {
	pod := "controller-" + rand.Text()
	t.Setenv("POD_NAME", pod)
	daemontest.Start(t, run, pod, "--kubeconfig="+daemontest.Unreachable(t), "--listen=", "--status-listen=")
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
