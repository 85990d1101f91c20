package membership

import (
	"context"
	"fmt"
	"io"
	"log"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// Run joins the other members, stays a member, and keeps trying to reach peers that are not members. When ctx ends, Run
// announces to the other members that this member leaves, unless HandOver was called, and returns nil. The end of Run
// takes at most half a second, or two seconds while Run tries a peer. Run returns an error when the sockets cannot be
// opened or memberlist cannot start. Run may be called only once.
func (m *Membership) Run(ctx context.Context) error {
	logger := log.New(&logBridge{log: m.options.Log, refuse: m.refuse, news: m.news.note}, "", 0)
	// memberlist does not wait for its goroutines at shutdown, and none of these goroutines may log after the return of
	// Run.
	defer logger.SetOutput(io.Discard)
	announced := m.own.Load()
	list, err := m.create(logger)
	if err != nil {
		return fmt.Errorf("listen for gossip on %s: %w", m.options.Bind, err)
	}
	m.list.Store(list)
	var joining sync.WaitGroup
	joining.Go(func() { m.keepJoining(ctx, list) })
	// The news that this member leaves are carried after the end of ctx.
	carrying, stopCarrying := context.WithCancel(context.WithoutCancel(ctx))
	defer stopCarrying()
	joining.Go(func() { m.carry(carrying, list) })
	m.loop(ctx, list, announced)

	m.frozen.Store(true)
	m.list.Store(nil)
	if m.handedOver.Load() {
		m.options.Log.Info("membership is handed over to another process of this node")
	} else {
		m.news.note("")
		if err := list.Leave(leaveTimeout); err != nil {
			m.options.Log.Warn("some members may not know that this one leaves", "err", err)
		}
	}
	stopCarrying()
	if err := list.Shutdown(); err != nil {
		m.options.Log.Warn("close gossip sockets", "err", err)
	}
	joining.Wait()
	return nil
}

// HandOver makes Run close the sockets at once and without an announcement when the context of Run ends, so that
// another process of this node can become the member with this name and address. If that process runs within 300 ms,
// the other members see only new metadata.
func (m *Membership) HandOver() { m.handedOver.Store(true) }

// loop passes new announcements to memberlist and logs changes of the members, until ctx ends. announced is the first
// announcement of memberlist, or an older announcement.
func (m *Membership) loop(ctx context.Context, list *memberlist.Memberlist, announced *announcement) {
	logged := &view{}
	for {
		var pause time.Duration
		announced, pause = m.announce(list, announced)
		now := m.published.Load()
		m.logChanges(logged, now)
		logged = now
		select {
		case <-ctx.Done():
			return
		case <-m.changed:
		case <-time.After(pause):
		}
	}
}
