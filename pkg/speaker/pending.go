package speaker

import (
	"net/netip"

	"github.com/lanlord/lanlord/pkg/ownership"
)

// pending collects the work for the rest of a round.
type pending struct {
	// asks lists probes to start once the announcer knows the states of all addresses.
	asks []request
	// announcements lists addresses to announce again.
	announcements []netip.Addr
	// results lists the results of probes since the last round.
	results map[netip.Addr]ownership.Event
	// changes lists the changes of ownership not yet in the status.
	changes []ownership.Change
	// again is true after a refuted suspicion: another round must follow at once.
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
	if p.results[addr].Number > e.Number {
		return // an older probe has ended later; the address waits for the newest
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
