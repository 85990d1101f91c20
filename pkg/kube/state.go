package kube

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

// StateConfigMap is the name of the ConfigMap in which the leading controller keeps the facts that every process needs from its start
// on: the last configuration that the controller accepted, and the MAC addresses of the nodes.
const StateConfigMap = "lanlord-state"

// The entries of the ConfigMap. stateConfig holds a configuration, stateVersion the resourceVersion of the user's ConfigMap that the
// configuration came from, and stateNodes what the speakers reported, as in {"node-a":{"macs":["02:00:00:00:00:07"]}}. statePast holds the
// configurations before that, whose addresses stay for a withdraw-delay, the newest first, as in
// [{"config":"address-pools: …","config-version":"17","since":"2026-01-02T03:04:05Z","delay":"10m0s"}].
const (
	stateConfig  = "config"
	stateVersion = "config-version"
	stateNodes   = "nodes"
	statePast    = "past-configs"
)

// nodeMACs are the MAC addresses of each node by its name.
type nodeMACs map[string][][6]byte

// stateRow is one version of the ConfigMap.
type stateRow struct {
	version string
	// data are the entries as they were written.
	data map[string]string
	// accepted is the configuration. It is nil without one, and when configProblem is not nil.
	accepted      *accepted
	configProblem error
	// past is empty when pastProblem is not nil.
	past        []past
	pastProblem error
	// macs is nil without the entry, and when nodesProblem is not nil.
	macs         nodeMACs
	nodesProblem error
}

// convertState reads the ConfigMap. A process must start with whatever a hand or another version wrote there, so an entry that is not
// valid counts like a missing one.
func convertState(o *corev1.ConfigMap) stateRow {
	row := stateRow{version: o.ResourceVersion, data: o.Data}
	if text, found := o.Data[stateConfig]; found {
		cfg, err := config.Parse([]byte(text))
		if row.configProblem = err; err == nil {
			row.accepted = &accepted{cfg, text, acceptedVersion(o)}
		}
	}
	row.past, row.pastProblem = parsePast(o.Data[statePast])
	if text, found := o.Data[stateNodes]; found {
		row.macs, row.nodesProblem = parseNodes(text)
	}
	return row
}

// acceptedVersion returns the resourceVersion of the configuration, or 0, which is older than any, if the entry cannot be right: it is no
// number, or newer than the ConfigMap that holds it, as after a copy from another cluster.
func acceptedVersion(o *corev1.ConfigMap) uint64 {
	version := number(o.Data[stateVersion])
	if version > number(o.ResourceVersion) {
		return 0
	}
	return version
}

type nodeText struct {
	MACs []string `json:"macs"`
}

// parseNodes reads the entry for the nodes. Keys that are not known are left out: a newer controller may say more.
func parseNodes(text string) (nodeMACs, error) {
	var nodes map[string]nodeText
	if err := json.Unmarshal([]byte(text), &nodes); err != nil {
		return nil, err
	}
	parsed := make(nodeMACs, len(nodes))
	for name, n := range nodes {
		if len(n.MACs) == 0 {
			continue
		}
		for _, mac := range n.MACs {
			if err := checkMAC(mac); err != nil {
				return nil, fmt.Errorf("node %s: %w", quote(name), err)
			}
			hardware, err := net.ParseMAC(mac)
			if err != nil {
				return nil, err
			}
			parsed[name] = append(parsed[name], [6]byte(hardware))
		}
		slices.SortFunc(parsed[name], func(a, b [6]byte) int { return slices.Compare(a[:], b[:]) })
		parsed[name] = slices.Compact(parsed[name])
	}
	return parsed, nil
}

// formatNodes returns the entry for the nodes in at most size bytes, the same for the same MAC addresses. Of each node it takes the first
// mostMACs in their order, and no node in part. left counts the MAC addresses that did not fit.
func formatNodes(macs map[string][]string, size int) (text string, left int) {
	kept := make(map[string]nodeText)
	used := len("{}")
	for _, name := range slices.Sorted(maps.Keys(macs)) {
		all := slices.Compact(slices.Sorted(slices.Values(macs[name])))
		n := nodeText{MACs: all[:min(len(all), mostMACs)]}
		left += len(all) - len(n.MACs)
		one := len(marshalText(map[string]nodeText{name: n})) - len("{}") + len(",")
		if used+one > size {
			left += len(n.MACs)
			continue
		}
		kept[name], used = n, used+one
	}
	return marshalText(kept), left
}

// marshalText returns v as JSON. v must be made of maps, structs and strings, which can always be written.
func marshalText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// stateChanged takes over a version of the ConfigMap. What it held last stays in use when it is deleted or not valid any more. It is
// called with Store.mu held.
func (s *Store) stateChanged(_ cluster.Key, _ string, old, row *stateRow) (wake bool) {
	s.keeping.ring()
	if row == nil {
		return false
	}
	s.warnOfState(old, row)
	if row.macs != nil && !maps.EqualFunc(s.macs, row.macs, slices.Equal[[][6]byte]) {
		s.macs = row.macs
		s.dirtyNodes, wake = true, true
	}
	if !s.stateRead && s.opt.Speakers {
		s.adoptMACs(row.macs)
	}
	wake = s.config.readState(row) || wake
	return s.config.offer(fromState, row.accepted) || wake
}

// warnOfState logs what is wrong with the ConfigMap, once for each text.
func (s *Store) warnOfState(old, row *stateRow) {
	for entry, problem := range map[string]error{
		stateConfig: row.configProblem, stateNodes: row.nodesProblem, statePast: row.pastProblem,
	} {
		if problem != nil && (old == nil || old.data[entry] != row.data[entry]) {
			s.opt.Log.Warn("an entry of a ConfigMap that Lanlord writes is not valid and is ignored",
				"configmap", s.opt.Namespace+"/"+StateConfigMap, "entry", entry, "err", problem)
		}
	}
}

// adoptMACs counts the MAC addresses that a controller before this one wrote as reported until now. So a node that is down while the
// controller restarts does not become a stranger.
func (s *Store) adoptMACs(macs nodeMACs) {
	for name, all := range macs {
		for _, mac := range all {
			f := fact{node: name, mac: net.HardwareAddr(mac[:]).String()}
			if _, known := s.facts[f]; !known {
				s.facts[f] = saying{end: time.Now().Add(factsLinger)}
				s.dirtyFacts = true
			}
		}
	}
	s.fading.ring()
}

// keptState returns the entries that the ConfigMap should have and does not, and the version that it has, empty if it does not exist. had
// is what was written last, which the watch may not show yet. left counts the MAC addresses for which there was no room. It is called
// with Store.mu held.
func (s *Store) keptState(had *stateRow) (want map[string]string, version string, left int) {
	row := s.saved.rows[cluster.Key{Namespace: s.opt.Namespace, Name: StateConfigMap}]
	if had != nil && (row == nil && older(s.saved.seen, had.version) || row != nil && older(row.version, had.version)) {
		row = had
	}
	var now stateRow
	if row != nil {
		now = *row
	}
	want = make(map[string]string)
	config, before := now.data[stateConfig], now.data[statePast]
	a := s.config.inUse
	if a != nil && (now.accepted == nil || a.text != now.accepted.text && a.version >= s.config.rank(now.accepted)) {
		config = a.text
		want[stateConfig], want[stateVersion] = a.text, strconv.FormatUint(a.version, 10)
	}
	if a != nil && a.text == config {
		var lost int
		if before, lost = formatPast(s.config.past, mostState-len(config)); before != now.data[statePast] {
			want[statePast] = before
			if lost > 0 {
				s.opt.Log.Warn("not all past configurations fit into the ConfigMap, so a restart ends the withdraw-delay of some addresses",
					"configmap", s.opt.Namespace+"/"+StateConfigMap, "left out", lost)
			}
		}
	}
	if s.opt.Speakers && s.opt.Nodes && s.nodes.synced && s.pods.synced {
		text, beyond := formatNodes(s.reportedMACs(), max(0, mostState-len(config)-len(before)))
		if left = beyond; text != now.data[stateNodes] {
			want[stateNodes] = text
		}
	}
	return want, now.version, left
}

// reportedMACs returns the MAC addresses that speakers reported, of each Node that exists. It is called with Store.mu held.
func (s *Store) reportedMACs() map[string][]string {
	macs := make(map[string][]string)
	for f := range s.facts {
		if f.mac != "" && s.nodes.rows[cluster.Key{Name: f.node}] != nil {
			macs[f.node] = append(macs[f.node], f.mac)
		}
	}
	return macs
}
