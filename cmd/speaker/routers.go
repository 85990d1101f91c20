package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lanlord/lanlord/pkg/bgp"
	"github.com/lanlord/lanlord/pkg/speaker"
	"github.com/lanlord/lanlord/pkg/succession"
)

// routers holds the sessions with routers. The sessions begin when this process gets the place of its node, or when the
// previous process hands its sessions over.
type routers struct {
	*bgp.Speaker
	begun chan struct{} // closed when Speaker is set
}

func newRouters() routers { return routers{begun: make(chan struct{})} }

// run keeps the sessions until ctx ends.
func (r *routers) run(ctx context.Context) error {
	select {
	case <-r.begun:
		return r.Run(ctx)
	case <-ctx.Done():
		return nil
	}
}

// speak begins with the sessions of the previous process, if there are any. Later calls do nothing.
func (p *program) speak(adopt []bgp.Detached) {
	if p.routers.Speaker == nil {
		p.routers.Speaker = bgp.New(bgp.Options{Log: p.log, Registerer: p.registry, Changed: p.wake.Poke, Adopt: adopt})
		close(p.routers.begun)
	}
}

// adopt takes over the sessions of the previous process at once.
func (p *program) adopt(i succession.Inheritance, sessions []bgp.Detached) {
	p.speak(sessions)
	speaker.Inherit(p.routing(), p.nodeName, p.announcer, p.store.Snapshot(), i.Members)
}

// leaveAlone closes the adopted sessions silently if this process ends before getting the place. Another process of
// this node continues the sessions.
func (p *program) leaveAlone(ctx context.Context) {
	select {
	case <-p.routers.begun:
	default:
		return
	}
	if p.loop.Load() != nil {
		return
	}
	for _, d := range p.routers.Detach(ctx) {
		_ = d.File.Close()
	}
}

// routing returns what the loop needs for the routers.
func (p *program) routing() speaker.Routing {
	return speaker.Routing{Routers: p.routers.Speaker, Password: p.store.Password, Uptime: p.uptime}
}

// uptime returns the time since the node booted, or 0 if the kernel does not tell the time.
func (p *program) uptime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		p.log.Error("time since the boot of the node is unknown", "err", fmt.Errorf("read CLOCK_BOOTTIME: %w", err))
		return 0
	}
	return time.Duration(t.Nano())
}
