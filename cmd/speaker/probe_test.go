package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/lanlord/lanlord/pkg/daemon"
	"github.com/lanlord/lanlord/pkg/daemon/daemontest"
	"github.com/lanlord/lanlord/pkg/status"
)

// TestProbeWithoutSpeaker asks without a running speaker.
func TestProbeWithoutSpeaker(t *testing.T) {
	pod := "speaker-" + rand.Text()
	for _, test := range []struct{ pod, what, stdout string }{
		{pod, "ready", "nobody listens on @lanlord/" + pod + "\n"},
		{"", "live", "POD_NAME is not set, so no speaker of this Pod can be asked\n"},
	} {
		t.Setenv("POD_NAME", test.pod)
		var stdout, stderr bytes.Buffer
		err := run(t.Context(), []string{"probe", test.what}, &stdout, &stderr)
		if !errors.Is(err, daemon.ErrFailed) || stdout.String() != test.stdout || stderr.Len() > 0 {
			t.Errorf("%q: %q, %q, %v, want %q", test.pod, stdout.String(), stderr.String(), err, test.stdout)
		}
	}
}

func TestBadProbe(t *testing.T) {
	t.Setenv("POD_NAME", "speaker-1")
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"probe"}, "probe takes one word, live or ready, not 0"},
		{[]string{"probe", "live", "ready"}, "probe takes one word, live or ready, not 2"},
		{[]string{"probe", "healthy"}, `invalid probe "healthy": must be live or ready`},
	} {
		var out bytes.Buffer
		err := run(t.Context(), test.args, &out, &out)
		if usage, ok := errors.AsType[*daemon.UsageError](err); !ok || usage.Problem != test.want {
			t.Errorf("%q: %v, want the usage error %q", test.args, err, test.want)
		}
	}
}

// TestProbe asks a speaker that waits for a cluster: the speaker is alive, is not ready, and says so in its status.
func TestProbe(t *testing.T) {
	pod := "speaker-" + rand.Text()
	t.Setenv("POD_NAME", pod)
	daemontest.Start(t, run, pod, "--node-name=a", "--kubeconfig="+daemontest.Unreachable(t), "--listen=")
	var live, ready bytes.Buffer
	if err := run(t.Context(), []string{"probe", "live"}, &live, &live); err != nil || live.String() != "ok\n" {
		t.Errorf("live: %q, %v", live.String(), err)
	}
	want := "not ready\nspeaker: waiting for the cluster, this Node or the gossip key; the log says which\n"
	if err := run(t.Context(), []string{"probe", "ready"}, &ready, &ready); !errors.Is(err, daemon.ErrFailed) ||
		ready.String() != want {
		t.Errorf("ready: %q, %v", ready.String(), err)
	}
	var told bytes.Buffer
	if err := run(t.Context(), []string{"status"}, &told, &told); err != nil {
		t.Fatal(err)
	}
	var s status.Speaker
	if err := json.Unmarshal(told.Bytes(), &s); err != nil || s.Kind != status.KindSpeaker || s.Pod != pod ||
		s.Node != "a" || s.State != "joining" ||
		s.Ready || !strings.HasPrefix(want, "not ready\nspeaker: "+s.NotReady) || s.Connected ||
		!s.Configuration.Stale {
		t.Errorf("status: %v\n%s", err, told.String())
	}
}
