package speaker

import (
	"net/netip"

	"github.com/lanlord/lanlord/pkg/ownership"
)

// pending is what waits for the rest of a round.
type pending struct {
	// asks are probes that wait until the announcer knows the states of all addresses.
	asks []request
	// announcements are addresses to announce again.
	announcements []netip.Addr
	// results are the results of probes that have come since the last round.
	results map[netip.Addr]ownership.Event
	// changes are the changes of ownership that are not in the status yet.
	changes []ownership.Change
	// again is true when a suspicion was refuted: another round must follow at once.
	again bool
}

func (p *pending) ask(r request)                { p.asks = append(p.asks, r) }
func (p *pending) announce(addrs ...netip.Addr) { p.announcements = append(p.announcements, addrs...) }
func (p *pending) change(c ownership.Change)    { p.changes = append(p.changes, c) }
func (p *pending) repeat()                      { p.again = true }
func (p *pending) begin()                       { p.again = false }
func (p *pending) takeAsks() (asks []request)   { asks, p.asks = p.asks, nil; return asks }

func (p *pending) result(addr netip.Addr, e ownership.Event) {
	if p.results == nil {
		p.results = map[netip.Addr]ownership.Event{}
	}
	p.results[addr] = e
}

func (p *pending) takeResults() (results map[netip.Addr]ownership.Event) {
	results, p.results = p.results, nil
	return results
}

func (p *pending) takeAnnouncements() (addrs []netip.Addr) {
	addrs, p.announcements = p.announcements, nil
	return addrs
}

func (p *pending) takeChanges() (changes []ownership.Change) {
	changes, p.changes = p.changes, nil
	return changes
}
