package layer2

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// claimQueue is the number of claims that may wait for the goroutine that passes them on. Further ones are counted and dropped: a
// claim that matters is repeated.
const claimQueue = 4096

// claimMemory is the interval at which addresses without recent claims are forgotten.
const claimMemory = time.Minute

// The limits on claims that are passed on, for each address: in a window, one answer and one other claim of each MAC, and at most
// claimCount claims in all.
const (
	claimWindow = time.Second
	claimCount  = 4
)

// claimed takes a claim from a packet reader. It does not block.
func (a *Announcer) claimed(p Protocol, c Claim) {
	if c.Mode == Answer {
		a.metrics.claims[p].Inc()
	}
	select {
	case a.claims <- c:
	default:
	}
}

// hear passes on the claims within the limits.
func (a *Announcer) hear(ctx context.Context) {
	limits := claimLimits{}
	forget := time.NewTicker(claimMemory)
	defer forget.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-forget.C:
			limits.forget(now)
		case c := <-a.claims:
			if limits.allow(time.Now(), c) {
				a.log.Debug("address claimed", "ip", c.Addr, "mac", c.MAC, "interface", c.Interface, "form", c.Form, "answer", c.Answer)
				a.heard(c)
			}
		}
	}
}

// claimLimits holds the recent claims to each address.
type claimLimits map[netip.Addr]claimants

// claimants are the claims to one address that were passed on in the window that began at since.
type claimants struct {
	since  time.Time
	passed [claimCount]claimant
	count  int
}

// claimant is a station, and whether it answered a question. An announcement must not go unnoticed because of an answer before it.
type claimant struct {
	mac    MAC
	answer bool
}

// allow reports whether the limits let a claim pass, and counts it if they do.
func (l claimLimits) allow(now time.Time, c Claim) bool {
	who := l[c.Addr]
	if now.Sub(who.since) >= claimWindow {
		who = claimants{since: now}
	}
	from := claimant{c.MAC, c.Answer}
	if who.count == claimCount || slices.Contains(who.passed[:who.count], from) {
		return false
	}
	who.passed[who.count] = from
	who.count++
	l[c.Addr] = who
	return true
}

// forget drops windows that are over, so that addresses that are no longer watched take no memory.
func (l claimLimits) forget(now time.Time) {
	maps.DeleteFunc(l, func(_ netip.Addr, who claimants) bool { return now.Sub(who.since) >= claimWindow })
}
