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
	// podEnv is where the manifest tells the controller its Pod's name, for who asks it from within the Pod.
	podEnv = "POD_NAME"
	// statusCommand is the word that makes this binary ask the running one, since the image holds nothing else that could.
	statusCommand = "status"
)

// teller tells of this controller.
type teller struct {
	store   *kube.Store
	loop    *controller.Controller
	started time.Time
	// leading is when this process got the Lease.
	leading atomic.Pointer[time.Time]
}

// lead notes that this process holds the Lease.
func (t *teller) lead() { t.leading.Store(new(time.Now())) }

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
