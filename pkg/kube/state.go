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

// StateConfigMap is the name of the ConfigMap with the facts that every process needs at its start: the last
// configuration that the controller accepted, and the MAC addresses of the nodes. The leading controller writes the
// ConfigMap.
const StateConfigMap = "lanlord-state"

// These constants name the entries of the ConfigMap. stateConfig holds a configuration, stateVersion the
// resourceVersion of the user's ConfigMap with that configuration, and stateNodes the MAC addresses that the speakers
// reported, as in {"node-a":{"macs":["02:00:00:00:00:07"]}}. statePast holds the earlier configurations whose addresses
// stay for a withdraw-delay, the newest first, as in [{"config":"address-pools:
// …","config-version":"17","since":"2026-01-02T03:04:05Z","delay":"10m0s"}].
const (
	stateConfig  = "config"
	stateVersion = "config-version"
	stateNodes   = "nodes"
	statePast    = "past-configs"
)

// nodeMACs maps the name of each node to the MAC addresses of the node.
type nodeMACs map[string][][6]byte

// stateRow holds one version of the ConfigMap.
type stateRow struct {
	version string
	// data holds the entries as text.
	data map[string]string
	// accepted is the configuration. accepted is nil without a configuration, and when configProblem is not nil.
	accepted      *accepted
	configProblem error
	// past is empty when pastProblem is not nil.
	past        []past
	pastProblem error
	// macs is nil without the entry, and when nodesProblem is not nil.
	macs         nodeMACs
	nodesProblem error
}

// convertState reads the ConfigMap. An entry that is not valid counts as missing: a process must start with any content
// that a person or another version of Lanlord wrote.
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

// acceptedVersion returns the resourceVersion of the configuration. It returns 0, older than any version, for an entry
// that cannot be right: the entry is not a number, or is newer than the ConfigMap itself, as after a copy from another
// cluster.
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

// parseNodes reads the entry stateNodes. It ignores unknown keys, because a newer controller may write more keys.
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

// formatNodes returns the entry stateNodes in at most size bytes. Equal MAC addresses give equal text. formatNodes
// takes the first mostMACs of each node in their order, and leaves out a node that does not fit as a whole. left counts
// the MAC addresses that did not fit.
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

// marshalText returns v as JSON. v must consist of maps, structs and strings, so that the encoding cannot fail.
func marshalText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// stateChanged takes over a version of the ConfigMap. After the deletion of the ConfigMap or of a valid entry, the last
// content stays in use. The caller holds Store.mu.
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

// warnOfState logs the problems of the ConfigMap, once for each text.
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

// adoptMACs treats the MAC addresses from an earlier controller as reported until now. Thus a node that is down during
// a restart of the controller does not count as a foreign host.
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

// keptState returns the entries to write into the ConfigMap, and the current version of the ConfigMap, empty if the
// ConfigMap does not exist. had is the last written version, which the watch may not show yet. left counts the MAC
// addresses that do not fit. The caller holds Store.mu.
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

// reportedMACs returns the MAC addresses that speakers reported, for each Node that exists. The caller holds Store.mu.
func (s *Store) reportedMACs() map[string][]string {
	macs := make(map[string][]string)
	for f := range s.facts {
		if f.mac != "" && s.nodes.rows[cluster.Key{Name: f.node}] != nil {
			macs[f.node] = append(macs[f.node], f.mac)
		}
	}
	return macs
}
