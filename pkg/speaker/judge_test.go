package speaker

import (
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lanlord/lanlord/pkg/placement"

	"github.com/lanlord/lanlord/pkg/layer2/lantest"
)

// failure classifies the failures of an address at one moment.
type failure uint8

const (
	// unanswered: nobody answers.
	unanswered failure = iota
	// doubled: two answer.
	doubled
	// moved: another answers than before.
	moved
	// boasted: a node announces the address and does not answer.
	boasted

	failures
)

func (f failure) String() string {
	return [...]string{"nobody answers", "several answer", "moved", "announced by one that does not answer"}[f]
}

// excuse is a period in which a failure of one address is allowed, or of all addresses if addr is invalid.
type excuse struct {
	addr     netip.Addr
	from, to time.Duration
}

func excused(list []excuse, a netip.Addr, at time.Duration) bool {
	return slices.ContainsFunc(list, func(e excuse) bool {
		return (!e.addr.IsValid() || e.addr == a) && e.from <= at && at <= e.to
	})
}

// question is one question of a client to all nodes.
type question struct {
	at       time.Duration
	client   string
	addr     netip.Addr
	answered map[string]bool // by whom, as far as the client heard
}

// judge returns the failures outside all excuses, from the answers that the clients heard.
func (h *history) judge() (problems []string) {
	fail := func(f failure, q *question, at time.Duration, detail string) {
		if !excused(h.excuses[f], q.addr, at) {
			problems = append(problems, fmt.Sprintf("%10s %s: %s: %s %s", at, q.client, q.addr, f, detail))
		}
	}
	boasts := h.match()
	owners := map[netip.Addr]string{}
	for i := range h.asked {
		q := &h.asked[i]
		by := slices.Sorted(maps.Keys(q.answered))
		if excused(h.silences, q.addr, q.at) {
			if len(by) > 0 {
				problems = append(problems, fmt.Sprintf("%10s %s: %s answers, and nobody may", q.at, q.addr, by))
			}
			delete(owners, q.addr)
			continue
		}
		switch len(by) {
		case 0:
			fail(unanswered, q, q.at, "")
		case 1:
			if before := owners[q.addr]; q.client == "client" {
				if before != "" && before != by[0] {
					fail(moved, q, q.at, before+" > "+by[0])
				}
				owners[q.addr] = by[0]
			}
		default:
			fail(doubled, q, q.at, strings.Join(by, " "))
		}
	}
	for _, b := range boasts {
		fail(boasted, &b.question, b.at, b.by)
	}
	return problems
}

// boast is an announcement by a node that answers neither the client's question before nor the one after.
type boast struct {
	question
	by string
}

// match finds the answers to the questions.
func (h *history) match() (boasts []boast) {
	open := map[string]map[netip.Addr]*question{"client": {}, "far": {}}
	said := map[*question][]boast{}
	next := 0
	for _, f := range h.lan.Trace() {
		for ; next < len(h.asked) && h.asked[next].at <= f.At; next++ {
			q := &h.asked[next]
			q.answered = map[string]bool{}
			open[q.client][q.addr] = q
		}
		a, node := subject(f), nodeOf(f)
		if h.speakers[node] == nil {
			continue
		}
		for _, client := range f.To {
			q := open[client][a]
			switch {
			case q == nil:
			case f.Answers(a):
				q.answered[node] = true
			case f.Announces(a):
				said[q] = append(said[q], boast{question{at: f.At, client: client, addr: a}, node})
			}
		}
	}
	// A node that announces between two questions answers one of them.
	last := map[string]map[netip.Addr]*question{"client": {}, "far": {}}
	for i := range h.asked {
		q := &h.asked[i]
		if before := last[q.client][q.addr]; before != nil && q.at-before.at < 2*askInterval {
			for _, b := range said[before] {
				if !before.answered[b.by] && !q.answered[b.by] {
					boasts = append(boasts, b)
				}
			}
		}
		last[q.client][q.addr] = q
	}
	return boasts
}

// nodeOf returns the name of the node that sent a frame, or of the host.
func nodeOf(f lantest.Frame) string {
	name, _, _ := strings.Cut(f.From, "/")
	return name
}

// subject returns the address that a frame is about: the sender's of an ARP packet, the target of a neighbour advertisement.
func subject(f lantest.Frame) netip.Addr {
	const arpSender, icmpType, ndpTarget = 28, 54, 62
	if len(f.Data) < arpSender+4 {
		return netip.Addr{}
	}
	switch binary.BigEndian.Uint16(f.Data[12:]) {
	case 0x0806:
		return netip.AddrFrom4([4]byte(f.Data[arpSender:]))
	case 0x86dd:
		if len(f.Data) >= ndpTarget+16 && f.Data[icmpType] == 136 {
			return netip.AddrFrom16([16]byte(f.Data[ndpTarget:]))
		}
	}
	return netip.Addr{}
}

// misplaced returns the addresses that are not at the elected node in the end.
func (h *history) misplaced() (problems []string) {
	for _, d := range placement.Decide(h.truth(), h.speakers["a"].Members()) {
		if p := h.holder(d.Addr); p == nil || p.name != d.Owner {
			problems = append(problems, fmt.Sprintf("%s is not at %s in the end", d.Addr, d.Owner))
		}
	}
	return problems
}
