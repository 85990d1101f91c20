package speaker

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/pathprobe"
	"github.com/lanlord/lanlord/pkg/patrol"
	"github.com/lanlord/lanlord/pkg/placement"
	"github.com/lanlord/lanlord/pkg/reason"
	"github.com/lanlord/lanlord/pkg/status"
)

const (
	// patrolLook is the longest time between two looks at the configuration and the cluster.
	patrolLook = 5 * time.Second
	// shownProbes limits the number of last probes in the status.
	shownProbes = 1000
	// framesBroken is the number of frames of a probe of a path that is not open, beyond those of an open path: further
	// SYNs with their RSTs, and a ping.
	framesBroken = 5
)

// patroller probes the paths to the addresses of other nodes again and again, as layer2: path-probe says. The goroutine
// of run probes; the status and the metrics read the results.
type patroller struct {
	self      string
	announcer *layer2.Announcer
	sightings *sightings
	status    func() Status
	log       *slog.Logger
	// logged is the length of the period that the log has last reported.
	logged time.Duration

	mu     sync.Mutex // guards patrol; a goroutine would make the status wait for a probe
	patrol patrol.Patrol
}

var (
	unreachableDesc = prometheus.NewDesc("lanlord_path_unreachable_addresses",
		"Addresses of other nodes whose last probe from this node failed; 0 without layer2: path-probe.", nil, nil)
	probedDesc = prometheus.NewDesc("lanlord_path_probed_addresses",
		"Addresses of other nodes that this node has probed; 0 without layer2: path-probe.", nil, nil)
	patrolPeriodDesc = prometheus.NewDesc("lanlord_path_probe_period_seconds",
		"Time in which the nodes probe the path to each address: path-probe, or longer with many addresses; 0 while this node probes nothing.",
		nil, nil)
)

func newPatroller(o *Options, s *sightings, status func() Status) *patroller {
	p := &patroller{self: o.Self, announcer: o.Announcer, sightings: s, status: status, log: o.Log}
	if o.Registerer != nil {
		o.Registerer.MustRegister(p)
	}
	return p
}

// Describe implements prometheus.Collector.
func (p *patroller) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range [...]*prometheus.Desc{unreachableDesc, probedDesc, patrolPeriodDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (p *patroller) Collect(ch chan<- prometheus.Metric) {
	p.mu.Lock()
	probed, failed := p.patrol.Counts()
	period := p.patrol.InUse()
	p.mu.Unlock()
	ch <- prometheus.MustNewConstMetric(unreachableDesc, prometheus.GaugeValue, float64(failed))
	ch <- prometheus.MustNewConstMetric(probedDesc, prometheus.GaugeValue, float64(probed))
	ch <- prometheus.MustNewConstMetric(patrolPeriodDesc, prometheus.GaugeValue, period.Seconds())
}

// last returns the last probes for the status.
func (p *patroller) last() []status.LastProbe {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.patrol.Results(shownProbes)
}

// run probes until ctx ends.
func (p *patroller) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			wait := min(time.Until(p.step(ctx, time.Now())), patrolLook)
			timer.Reset(max(wait, 0))
		}
	}
}

// step probes the address that is due, if any, and returns the time of the next step.
func (p *patroller) step(ctx context.Context, now time.Time) (next time.Time) {
	st := p.status()
	in, on := p.inputs(&st)
	p.mu.Lock()
	if !on {
		p.patrol.Reset()
		p.mu.Unlock()
		return now.Add(patrolLook)
	}
	addr, next := p.patrol.Step(now, in)
	last, _ := p.patrol.Last(addr)
	period := p.patrol.InUse()
	p.mu.Unlock()
	if period != p.logged && period > in.Period {
		p.log.Info("probes of paths take longer than path-probe, because a node sends at most one frame a second for them",
			"path-probe", in.Period, "period", period, "addresses", len(in.Addrs))
	}
	p.logged = period
	if !addr.IsValid() {
		return next
	}
	probe := patrolProbe{patroller: p, st: &st, placement: placement.Find(st.Placements, addr)}
	result := probe.look(ctx, last, in.Self)
	if ctx.Err() != nil {
		return next
	}
	if result.Failed() && !last.Failed() {
		p.log.Warn("path is broken", "ip", addr, "node", result.Node, "port", result.Port, "result", result.Result)
	}
	if last.Failed() && result.Result == status.ProbeOpen {
		p.log.Info("path works again", "ip", addr, "node", result.Node, "port", result.Port)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.patrol.Done(now, addr, result, probe.frames)
	return now
}

// inputs returns the nodes and the addresses of the last round; false if this node probes nothing.
func (p *patroller) inputs(st *Status) (in patrol.Inputs, on bool) {
	c := st.snapshot.Config
	if c == nil || c.Layer2.PathProbe == 0 || st.State != membership.Ready {
		return in, false
	}
	in = patrol.Inputs{
		Period: c.Layer2.PathProbe, Nodes: len(st.members),
		Own: func(a netip.Addr) bool { return st.facts(a).State.Holds() },
	}
	in.Self = slices.IndexFunc(st.members, func(m membership.Member) bool { return m.Name == p.self })
	if in.Self < 0 {
		return in, false
	}
	for _, x := range st.Placements {
		if x.Reason == reason.Announced && hasTCP(st, x) {
			in.Addrs = append(in.Addrs, x.Addr)
		}
	}
	return in, true
}

// hasTCP reports whether a Service with an address has a TCP port and a ready endpoint.
func hasTCP(st *Status, at *placement.Placement) bool {
	return slices.ContainsFunc(at.Services, func(key cluster.Key) bool {
		s := st.snapshot.Service(key)
		return s != nil && s.HasServing && len(s.TCPPorts) > 0
	})
}

// patrolPorts returns the TCP ports of the Services with an address, at most mostPathPorts, sorted.
func patrolPorts(st *Status, at *placement.Placement) (ports []uint16) {
	for _, key := range at.Services {
		if s := st.snapshot.Service(key); s != nil && s.HasServing {
			ports = append(ports, s.TCPPorts...)
		}
	}
	slices.Sort(ports)
	ports = slices.Compact(ports)
	return ports[:min(len(ports), mostPathPorts)]
}

// patrolProbe is one probe of the path to one address.
type patrolProbe struct {
	*patroller
	st        *Status
	placement *placement.Placement
	// frames is the number of frames of the probe.
	frames int
}

// look probes the path to the address. The result is empty when the path cannot be probed now. A path counts as broken
// only if the probed node still answers ARP or NDP after the probe.
func (p *patrolProbe) look(ctx context.Context, last status.LastProbe, self int) status.LastProbe {
	p.frames = patrol.FramesOpen
	addr := p.placement.Addr
	port := patrol.NextPort(last, patrolPorts(p.st, p.placement), self)
	service := p.service(port)
	through := p.sightings.of(addr).MAC
	result := status.LastProbe{Address: addr.String(), Port: port}
	for range 2 { // the address may move meanwhile
		if p.st.view.Station(through).Name == "" {
			owner, err := p.owner(ctx)
			if err != nil || owner == (layer2.MAC{}) {
				return p.unanswered(port, err)
			}
			through = owner
		}
		result.Node = p.st.view.Station(through).Name
		if result.Node == "" || result.Node == p.self {
			return status.LastProbe{} // a foreign host, which the status reports elsewhere, or this node
		}
		f, err := p.ask(ctx, through, port, pathprobe.Options{})
		if err != nil {
			p.log.Debug("path not probed", "ip", addr, "err", err)
			return status.LastProbe{}
		}
		result.Result, result.After = f.Outcome.String(), f.After.Microseconds()
		if f.Outcome == pathprobe.Open {
			return result
		}
		result.Details = new(describePath(p.st.view, service, port, through, f, nil))
		switch owner, err := p.owner(ctx); {
		case err != nil || owner == (layer2.MAC{}):
			return p.unanswered(port, err)
		case owner == through:
			p.ping(ctx, through, &result)
			return result
		default:
			through = owner
		}
	}
	return status.LastProbe{} // the address moves from node to node
}

// unanswered is the result when no host answers for the address; with an error, nobody was asked.
func (p *patrolProbe) unanswered(port uint16, err error) status.LastProbe {
	if err != nil {
		return status.LastProbe{}
	}
	return status.LastProbe{Address: p.placement.Addr.String(), Port: port, Result: status.ProbeUnanswered}
}

// service returns the first Service of the address with the port.
func (p *patrolProbe) service(port uint16) *cluster.Service {
	for _, key := range p.placement.Services {
		if s := p.st.snapshot.Service(key); s != nil && s.HasServing && slices.Contains(s.TCPPorts, port) {
			return s
		}
	}
	return &cluster.Service{}
}

// owner asks the wire which station answers for the address; zero for none.
func (p *patrolProbe) owner(ctx context.Context) (layer2.MAC, error) {
	p.frames++
	f, err := p.announcer.Probe(ctx, p.placement.Addr, layer2.ProbeOptions{
		Interfaces: p.placement.Interfaces, Count: pathQuestions, Interval: 100 * time.Millisecond,
	})
	for _, x := range f.Heard {
		if x.Form != layer2.Probing {
			return x.MAC, nil
		}
	}
	return layer2.MAC{}, err
}

func (p *patrolProbe) ask(ctx context.Context, through layer2.MAC, port uint16,
	o pathprobe.Options) (layer2.PathFinding, error) {
	return p.announcer.ProbePath(ctx, layer2.PathQuestion{
		To: through, Service: netip.AddrPortFrom(p.placement.Addr, port), Interfaces: p.placement.Interfaces, Options: o,
	})
}

// ping notes whether packets from the address reach this node, although the port is not open.
func (p *patrolProbe) ping(ctx context.Context, through layer2.MAC, result *status.LastProbe) {
	p.frames += framesBroken
	if c := p.st.snapshot.Config; c != nil && !c.Layer2.Ping {
		result.NoPing = true
		return
	}
	f, err := p.ask(ctx, through, 0, pathprobe.Options{Questions: 1, Wait: time.Second})
	result.Ping = err == nil && f.Outcome == pathprobe.Open
}
