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
	// secondAnswer is how long a second answer is waited for where two stations may answer.
	secondAnswer = 40 * time.Millisecond
	// backupQuestions is how often a backup asks: a frame or two may be lost, and the elected node has not said that it does not take
	// the address.
	backupQuestions = 4
	// backupRate is how many addresses a second this node probes as backup, and how many at once.
	backupRate = 100
	// mostWitnesses is how many other members are probed to find out whether this node hears anybody.
	mostWitnesses = 3
)

// errDeaf says that silence proves nothing.
var errDeaf = errors.New("no other member is heard either")

// request is a probe that an address asked for.
type request struct {
	addr      netip.Addr
	probe     ownership.Probe
	placement *placement.Placement
}

// prober runs probes, each in a goroutine of its own.
type prober struct {
	ctx       context.Context
	tasks     sync.WaitGroup
	announcer *layer2.Announcer
	results   chan<- probed
	backups   *rate.Limiter
	// failed has the last error by address, of the addresses that could not be probed.
	failed map[netip.Addr]error
}

func newProber(ctx context.Context, announcer *layer2.Announcer, results chan<- probed) *prober {
	return &prober{
		ctx: ctx, announcer: announcer, results: results, backups: rate.NewLimiter(backupRate, backupRate), failed: map[netip.Addr]error{},
	}
}

// admit reports whether one more probe as backup is within the rate.
func (p *prober) admit(now time.Time) bool { return p.backups.AllowN(now, 1) }

// start runs a probe. Where there are witnesses, silence counts only if one of them is heard.
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

// note keeps why an address could not be probed, nil if it could.
func (p *prober) note(addr netip.Addr, err error) {
	if err == nil {
		delete(p.failed, addr)
		return
	}
	p.failed[addr] = err
}

// witnesses returns links of members that this node should hear on the networks of addr, the suspected ones last. A node that hears neither
// the address nor a witness may be cut off itself.
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
			if link.Beacon.IsValid() && len(*list) < mostWitnesses && slices.ContainsFunc(interfaces, func(i layer2.Interface) bool {
				return i.Up && i.Holds(link.Beacon) && (i.Holds(addr) || !inside)
			}) {
				*list = append(*list, link)
			}
		}
	}
	return append(heard, suspects...)
}

// hearsAny reports whether one of the links answers for its probe address, or there are none.
func (p *prober) hearsAny(links []membership.Link) bool {
	for _, l := range links {
		f, _ := p.announcer.Probe(p.ctx, l.Beacon, layer2.ProbeOptions{To: layer2.MAC(l.MAC)})
		if slices.ContainsFunc(f.Heard, func(x layer2.Sighting) bool { return x.MAC == layer2.MAC(l.MAC) && x.Form != layer2.Probing }) {
			return true
		}
	}
	return len(links) == 0
}
