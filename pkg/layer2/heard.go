package layer2

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// claimQueue is how many claims may wait for the goroutine that passes them on. More are counted and dropped: a claim that
// matters is repeated.
const claimQueue = 4096

// claimMemory is how often addresses that were not claimed lately are forgotten.
const claimMemory = time.Minute

// The limits on claims that are passed on, for each address: each MAC once in a window, and not more than that many MACs.
const (
	claimWindow = time.Second
	claimMACs   = 4
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

// hear passes on the claims that the limits allow.
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
				a.log.Debug("address claimed", "ip", c.Addr, "mac", c.MAC, "interface", c.Interface, "form", c.Form)
				a.heard(c)
			}
		}
	}
}

// claimLimits remembers who claimed which address lately.
type claimLimits map[netip.Addr]claimants

type claimants struct {
	since time.Time
	macs  [claimMACs]MAC
	count int
}

// allow reports whether a claim is to be passed on, and counts it if so.
func (l claimLimits) allow(now time.Time, c Claim) bool {
	who := l[c.Addr]
	if now.Sub(who.since) >= claimWindow {
		who = claimants{since: now}
	}
	if slices.Contains(who.macs[:who.count], c.MAC) {
		return false
	}
	if who.count == claimMACs {
		return false
	}
	who.macs[who.count] = c.MAC
	who.count++
	l[c.Addr] = who
	return true
}

// forget drops what no longer matters, so that addresses that are no longer watched take no memory.
func (l claimLimits) forget(now time.Time) {
	maps.DeleteFunc(l, func(_ netip.Addr, who claimants) bool { return now.Sub(who.since) >= claimWindow })
}
