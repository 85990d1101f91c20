package speaker

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/ownership"
	"github.com/lanlord/lanlord/pkg/peers"
	"github.com/lanlord/lanlord/pkg/placement"
)

const (
	// secondAnswer limits the wait for a second answer where two stations may answer.
	secondAnswer = 40 * time.Millisecond
	// backupQuestions is the number of questions of a backup: a frame or two may be lost, and the elected node has not
	// declined the address.
	backupQuestions = 4
	// backupRate limits the number of addresses that this node probes as backup per second, and the size of a burst.
	backupRate = 100
	// mostWitnesses limits the other members to probe. The probes find out whether this node hears anybody.
	mostWitnesses = 3
)

// errDeaf means that silence proves nothing, because this node hears nobody.
var errDeaf = errors.New("no other member is heard either")

// request is a probe for one address.
type request struct {
	addr      netip.Addr
	probe     ownership.Probe
	placement *placement.Placement
}

// prober runs probes, each in its own goroutine.
type prober struct {
	ctx       context.Context
	tasks     sync.WaitGroup
	announcer *layer2.Announcer
	results   chan<- probed
	backups   *rate.Limiter
	// failed maps each address without a working probe to its last error.
	failed map[netip.Addr]error
}

func newProber(ctx context.Context, announcer *layer2.Announcer, results chan<- probed) *prober {
	return &prober{
		ctx: ctx, announcer: announcer, results: results, backups: rate.NewLimiter(backupRate, backupRate),
		failed: map[netip.Addr]error{},
	}
}

// admit reports whether the rate allows one more probe as backup.
func (p *prober) admit(now time.Time) bool { return p.backups.AllowN(now, 1) }

// start runs a probe. With witnesses, silence counts only if this node hears one of them.
func (p *prober) start(r request, witnesses []membership.Link) {
	options := layer2.ProbeOptions{To: r.probe.To}
	if r.placement != nil {
		options.Interfaces = r.placement.Interfaces
	}
	if r.probe.Backup {
		options.Count = backupQuestions
	}
	if r.probe.Linger {
		options.Linger = secondAnswer
	}
	p.tasks.Go(func() {
		finding, err := p.announcer.Probe(p.ctx, r.addr, options)
		if finding.Outcome == layer2.Silent && !p.hearsAny(witnesses) {
			finding.Outcome, err = layer2.Unasked, errDeaf
		}
		event := ownership.Event{Kind: ownership.Probed, Number: r.probe.Number, Finding: finding}
		select {
		case p.results <- probed{r.addr, event, err}:
		case <-p.ctx.Done():
		}
	})
}

// note stores the reason of a failed probe for an address, nil after a success.
func (p *prober) note(addr netip.Addr, err error) {
	if err == nil {
		delete(p.failed, addr)
		return
	}
	p.failed[addr] = err
}

// witnesses returns links of members that this node should hear on the networks of addr, the suspected members last. A
// node that hears neither the address nor a witness may be cut off.
func (p *prober) witnesses(self string, addr netip.Addr, entries []peers.Entry) []membership.Link {
	var heard, suspects []membership.Link
	interfaces := p.announcer.Interfaces()
	inside := slices.ContainsFunc(interfaces, func(i layer2.Interface) bool { return i.Up && i.Holds(addr) })
	for _, e := range entries {
		if e.Name == self || e.Gone || e.State != membership.Ready {
			continue
		}
		list := &heard
		if e.Suspected {
			list = &suspects
		}
		for _, link := range e.Links {
			if link.Beacon.IsValid() && len(*list) < mostWitnesses &&
				slices.ContainsFunc(interfaces, func(i layer2.Interface) bool {
					return i.Up && i.Holds(link.Beacon) && (i.Holds(addr) || !inside)
				}) {
				*list = append(*list, link)
			}
		}
	}
	return append(heard, suspects...)
}

// hearsAny reports whether one of the links answers for its probe address, or the list is empty.
func (p *prober) hearsAny(links []membership.Link) bool {
	for _, l := range links {
		f, _ := p.announcer.Probe(p.ctx, l.Beacon, layer2.ProbeOptions{To: layer2.MAC(l.MAC)})
		if slices.ContainsFunc(f.Heard,
			func(x layer2.Sighting) bool { return x.MAC == layer2.MAC(l.MAC) && x.Form != layer2.Probing }) {
			return true
		}
	}
	return len(links) == 0
}
