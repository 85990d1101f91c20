package speaker

import (
	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/pathprobe"
	"github.com/lanlord/lanlord/pkg/peers"
	"github.com/lanlord/lanlord/pkg/status"
)

const (
	// mostPathPorts limits the ports of a Service that are probed.
	mostPathPorts = 8
	// pathQuestions is the number of ARP or NDP questions of a probe: frames may be lost, and silence is a finding.
	pathQuestions = 3
)

// describePath returns the result of a probe of one TCP port of a Service through a station.
func describePath(view *peers.View, service *cluster.Service, port uint16, through layer2.MAC, f layer2.PathFinding,
	err error) status.PathProbe {
	probe := status.PathProbe{
		Service: service.Key.String(), Port: port, Through: through.String(), Node: view.Station(through).Name,
	}
	if err != nil {
		probe.Problem = err.Error()
		return probe
	}
	probe.ShutOut = !admits(service, f.Source)
	probe.Result, probe.Redirected = f.Outcome.String(), f.Redirected
	probe.After, probe.Source = f.After.Microseconds(), f.Source.String()
	if by := view.Station(layer2.MAC(f.By)).Name; by != probe.Node {
		probe.By = by
	}
	if f.Outcome != pathprobe.Unreachable {
		return probe
	}
	probe.Type, probe.Code, probe.From, probe.Cause = f.Type, f.Code, f.From.String(), "other"
	switch {
	case f.PortUnreachable():
		probe.Cause = "port"
	case f.HostUnreachable():
		probe.Cause = "host"
	case f.Prohibited():
		probe.Cause = "prohibited"
	}
	return probe
}
