package speaker

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/pathprobe"
	"github.com/lanlord/lanlord/pkg/placement"
	"github.com/lanlord/lanlord/pkg/reason"
	"github.com/lanlord/lanlord/pkg/status"
)

const (
	// mostStations limits the hosts that one request probes.
	mostStations = 3
	// pathLinger is the time to listen for further stations after the first answer.
	pathLinger = 300 * time.Millisecond
)

// ProbePath probes the path from this node to an address of Services, as a client would take it: who answers ARP or NDP
// for the address, whether the host that answers answers pings, and what comes back from each TCP port. ProbePath takes
// up to five seconds, sends nothing for an address that no Service has, and does not involve the loop.
func (s *Speaker) ProbePath(ctx context.Context, addr netip.Addr) status.Path {
	st := s.Status()
	f := status.Path{
		Node: s.opt.Self, Address: addr.String(), Stations: []status.Station{}, Probes: []status.PathProbe{},
	}
	p := placement.Find(st.Placements, addr)
	switch {
	case p == nil:
		f.Problem = "no Service of Lanlord has the address in a pool with layer2, as far as this node knows"
		return f
	case p.Reason != reason.Announced:
		f.Problem = p.Detail
		return f
	case st.facts(addr).State.Holds():
		f.Holds = true
		return f
	}
	finding, err := s.opt.Announcer.Probe(ctx, addr, layer2.ProbeOptions{
		Interfaces: p.Interfaces, Count: pathQuestions, Interval: 100 * time.Millisecond, Linger: pathLinger,
	})
	if err != nil && len(finding.Heard) == 0 {
		f.Problem = err.Error()
		return f
	}
	t := pathTask{s: s, st: &st, placement: p, found: &f}
	for _, x := range finding.Heard {
		known := slices.ContainsFunc(f.Stations, func(y status.Station) bool { return y.MAC == x.MAC.String() })
		if x.Form == layer2.Probing || known || len(f.Stations) == mostStations {
			continue
		}
		f.Stations = append(f.Stations, status.Station{
			MAC: x.MAC.String(), Node: st.view.Station(x.MAC).Name, Interface: x.Interface,
			After: x.After.Microseconds(),
		})
		t.through(ctx, x.MAC)
	}
	t.tasks.Wait()
	slices.SortFunc(f.Probes, func(x, y status.PathProbe) int {
		if c := strings.Compare(x.Service, y.Service); c != 0 {
			return c
		}
		if c := int(x.Port) - int(y.Port); c != 0 {
			return c
		}
		return strings.Compare(x.Through, y.Through)
	})
	return f
}

// pathTask is one request of ProbePath.
type pathTask struct {
	s         *Speaker
	st        *Status
	placement *placement.Placement
	tasks     sync.WaitGroup
	mu        sync.Mutex // guards found
	found     *status.Path
}

// through starts the probes through one station.
func (t *pathTask) through(ctx context.Context, mac layer2.MAC) {
	if c := t.st.snapshot.Config; c != nil && !c.Layer2.Ping {
		t.found.NoPing = true
	} else {
		t.tasks.Go(func() { t.ping(ctx, mac) })
	}
	for _, key := range t.placement.Services {
		service := t.st.snapshot.Service(key)
		if service == nil {
			continue
		}
		for _, port := range service.TCPPorts[:min(len(service.TCPPorts), mostPathPorts)] {
			t.tasks.Go(func() { t.port(ctx, mac, service, port) })
		}
	}
}

// ping asks the station for an answer from the address itself, past the service proxy.
func (t *pathTask) ping(ctx context.Context, mac layer2.MAC) {
	f, err := t.ask(ctx, mac, 0, pathprobe.Options{Wait: time.Second})
	t.mu.Lock()
	defer t.mu.Unlock()
	t.found.Ping = t.found.Ping || err == nil && f.Outcome == pathprobe.Open
}

func (t *pathTask) ask(ctx context.Context, mac layer2.MAC, port uint16,
	o pathprobe.Options) (layer2.PathFinding, error) {
	return t.s.opt.Announcer.ProbePath(ctx, layer2.PathQuestion{
		To: mac, Service: netip.AddrPortFrom(t.placement.Addr, port), Interfaces: t.placement.Interfaces, Options: o,
	})
}

// port probes one port through a station.
func (t *pathTask) port(ctx context.Context, mac layer2.MAC, service *cluster.Service, port uint16) {
	f, err := t.ask(ctx, mac, port, pathprobe.Options{})
	probe := describePath(t.st.view, service, port, mac, f, err)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.found.Probes = append(t.found.Probes, probe)
}
