package layer2

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// claimQueue is the maximum number of claims that wait for the goroutine of hear. Further claims are dropped: an
// important claim is repeated. The metric counts a dropped claim of an own address too.
const claimQueue = 4096

// claimMemory is the interval for forgetting addresses without recent claims.
const claimMemory = time.Minute

// The limits on reported claims for each address: in each window, one answer and one other claim of each MAC, and at
// most claimCount claims in all.
const (
	claimWindow = time.Second
	claimCount  = 4
)

// claimed takes a claim from a packet reader. claimed does not block.
func (a *Announcer) claimed(p Protocol, c Claim) {
	if c.Mode == Answer {
		a.metrics.claims[p].Inc()
	}
	select {
	case a.claims <- c:
	default:
	}
}

// hear reports the claims within the limits to Options.Heard.
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

// claimants records the reported claims to one address in the window that began at since.
type claimants struct {
	since  time.Time
	passed [claimCount]claimant
	count  int
}

// claimant is a station and the kind of its claim: answer is true if the claim answered a question. An earlier answer
// of the station must not hide a later announcement.
type claimant struct {
	mac    MAC
	answer bool
}

// allow reports whether the limits let a claim pass, and counts a claim that passes.
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

// forget drops expired windows, so that addresses no longer watched take no memory.
func (l claimLimits) forget(now time.Time) {
	maps.DeleteFunc(l, func(_ netip.Addr, who claimants) bool { return now.Sub(who.since) >= claimWindow })
}
