package main

import (
	"os"
	"sync/atomic"
	"time"

	"github.com/lanlord/lanlord/pkg/controller"
	"github.com/lanlord/lanlord/pkg/daemon"
	"github.com/lanlord/lanlord/pkg/kube"
	"github.com/lanlord/lanlord/pkg/status"
)

const (
	// podEnv is the environment variable in which the manifest passes the name of the Pod.
	podEnv = "POD_NAME"
	// podUIDEnv is the environment variable in which the manifest passes the UID of the Pod.
	podUIDEnv = "POD_UID"
	// statusCommand makes this binary print the status of the controller in the same Pod. The image holds no other
	// client.
	statusCommand = "status"
)

// teller reports the status of this controller.
type teller struct {
	store   *kube.Store
	loop    *controller.Controller
	started time.Time
	// leading is the time at which this process got the Lease.
	leading atomic.Pointer[time.Time]
}

// lead records that this process holds the Lease now. The returned function records the loss of the Lease.
func (t *teller) lead() (end func()) {
	t.leading.Store(new(time.Now()))
	return func() { t.leading.Store(nil) }
}

func (t *teller) status() status.Controller {
	s := t.loop.Status()
	s.Process = status.Process{
		Kind: status.KindController, Format: status.Format, Time: time.Now().UTC(), Version: daemon.Version(), Pod: os.Getenv(podEnv),
		Started: t.started.UTC(), Connected: t.store.Connected(), Configuration: t.store.Configuration(),
	}
	s.Role, s.Since = status.Standby, t.started.UTC()
	if since := t.leading.Load(); since != nil {
		s.Role, s.Since = status.Leader, since.UTC()
	}
	return s
}
