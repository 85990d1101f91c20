package speaker

import (
	"context"
	"time"
)

// run makes a round at once and after each wake-up or deadline, until ctx is done or done returns true after a round.
func (l *loop) run(ctx context.Context, done func() bool) {
	for {
		l.round(time.Now())
		switch {
		case done():
			return
		case l.pending.again:
		case !l.await(ctx):
			return
		}
		l.drain()
	}
}

// await handles messages until a round must follow or the deadline has come. await reports false when ctx is done.
func (l *loop) await(ctx context.Context) bool {
	timer := time.NewTimer(max(time.Until(l.deadline), 0))
	defer timer.Stop()
	for news := false; !news; {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			news = true
		case <-l.opt.Wake:
			news = true
		case m := <-l.mailbox.claims:
			news = l.claimed(m, time.Now())
		case m := <-l.mailbox.suspicions:
			news = l.suspected(m, time.Now())
		case m := <-l.mailbox.versions:
			news = l.told(m, time.Now())
		case m := <-l.mailbox.probed:
			l.probed(m)
			news = true
		case m := <-l.mailbox.proofs:
			news = refusals{l}.told(m, time.Now())
		}
	}
	return true
}

// drain handles all pending messages, so that they share a round.
func (l *loop) drain() {
	for {
		select {
		case m := <-l.mailbox.claims:
			l.claimed(m, time.Now())
		case m := <-l.mailbox.suspicions:
			l.suspected(m, time.Now())
		case m := <-l.mailbox.versions:
			l.told(m, time.Now())
		case m := <-l.mailbox.probed:
			l.probed(m)
		case m := <-l.mailbox.proofs:
			refusals{l}.told(m, time.Now())
		default:
			return
		}
	}
}
