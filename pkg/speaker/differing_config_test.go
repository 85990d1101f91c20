package speaker

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// edgeConfig has a pool whose addresses only the nodes with the label edge may announce.
const edgeConfig = "address-pools:\n- {name: a, protocol: layer2, addresses: [10.0.0.0/24, 'fd00::/64'], node-selectors: [{match-labels: {edge: 'yes'}}]}\n"

// unconfiguredConfirm is the additional wait of a node without a configuration before the node takes a silent address:
// a configured node goes first.
const unconfiguredConfirm = 2 * time.Second

// TestStartWithoutConfiguration restarts speakers while the ConfigMap is not valid. Such a speaker takes nothing from a
// node that answers, also on a node excluded by the pool, and never competes for a new address.
func TestStartWithoutConfiguration(t *testing.T) {
	old, fresh := slices.Concat(following(addr4, 6), following(addr6, 2)), following(netip.MustParseAddr("10.0.0.40"), 4)
	fresh = append(fresh, netip.MustParseAddr("fd00::40"))
	for _, c := range []struct {
		name, document string
		without        []string // the nodes that start without a configuration
		owners         []string // the nodes that may have an address afterwards
	}{
		{"a node that the pool forbids", edgeConfig, []string{"c"}, []string{"a", "b"}},
		{"a node that the pool allows", edgeConfig, []string{"b"}, []string{"a"}},
		{"a node of a pool for all nodes", testConfig, []string{"b"}, []string{"a", "c"}},
		{"two of three nodes", testConfig, []string{"a", "c"}, []string{"b"}},
		{"all nodes that the pool allows", edgeConfig, []string{"a", "b"}, []string{"a", "b"}},
	} {
		sample(t, c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := edgeTestCluster(t, c.document, old...)
				v.restart(5*time.Second, func(p *testNode) { p.see(unconfigured) }, c.without...)
				time.Sleep(5*time.Second + 3*unconfiguredConfirm)
				if len(c.without) == 1 {
					v.steady("without the configuration", 3*time.Minute, old...)
				} else {
					v.hold("without the configuration", 3*time.Minute, limits{moves: 1}, old...)
				}
				v.assigned(fresh...)
				time.Sleep(standInDelay + standInBound + 2*unconfiguredConfirm) // where no configured node may have it, another one takes it as backup
				v.hold("new addresses", time.Minute, limits{owners: c.owners}, fresh...)
				for _, name := range c.without {
					v.speakers[name].see(nil)
				}
				allowed := []string{"a", "b", "c"}
				if c.document == edgeConfig {
					allowed = allowed[:2]
				}
				v.hold("with the configuration again", 3*time.Minute, limits{moves: 1, owners: allowed}, slices.Concat(old, fresh)...)
			})
		})
	}
}

// edgeTestCluster starts three nodes, of which a and b have the label edge, and waits until the expected node owns each
// address.
func edgeTestCluster(t *testing.T, document string, addrs ...netip.Addr) *testCluster {
	v := makeTestCluster(t, 1, quiet(t), document, []string{"a", "b", "c"}, addrs...)
	for i := range v.snap.Nodes[:2] {
		v.snap.Nodes[i].Labels = map[string]string{"edge": "yes"}
	}
	v.bootAll()
	time.Sleep(70 * time.Second)
	return v
}

// TestAllStartWithoutConfiguration restarts all speakers while there is no valid ConfigMap. Each address soon has one
// owner, because a bad configuration withdraws nothing. The nodes excluded by the pool release their addresses once the
// ConfigMap is valid. The watches of the nodes show the valid ConfigMap one after the other. A node that has released
// an address finds no successor before a node without a configuration asks again: once a minute.
func TestAllStartWithoutConfiguration(t *testing.T) {
	for _, c := range []struct{ apart, unanswered time.Duration }{
		{300 * time.Millisecond, askInterval}, {time.Minute, reassurance + 2*standInDelay + standInBound},
	} {
		sample(t, c.apart.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				old := following(addr4, 8)
				v := edgeTestCluster(t, edgeConfig, old...)
				v.restart(5*time.Second, func(p *testNode) { p.see(unconfigured) }, "a", "b", "c")
				time.Sleep(5 * time.Second)
				v.steady("no node has a configuration", 3*time.Minute, old...)
				v.assigned(netip.MustParseAddr("10.0.0.40"))
				time.Sleep(rulesDelay + moveBound)
				v.steady("a new address", time.Minute, netip.MustParseAddr("10.0.0.40"))
				for i, name := range []string{"c", "a", "b"} {
					time.AfterFunc(time.Duration(i)*c.apart, func() { v.speakers[name].see(nil) })
				}
				v.hold("the nodes get the configuration", 6*time.Minute, limits{owners: []string{"a", "b"}, moves: 3, unanswered: c.unanswered}, old...)
				v.steady("later", time.Minute, old...)
			})
		})
	}
}

// TestOwnerDiesBesideUnconfigured has the owners crash while another node has no configuration.
func TestOwnerDiesBesideUnconfigured(t *testing.T) {
	old := following(addr4, 8)
	for _, c := range []struct {
		name    string
		without string
		crash   []string
		owner   string // of all addresses then
	}{
		{"a configured node takes over", "c", []string{"a"}, "b"},
		{"only the node without a configuration is left", "c", []string{"a", "b"}, "c"},
		{"a node that the pool allows is left", "b", []string{"a"}, "b"},
	} {
		sample(t, c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := edgeTestCluster(t, edgeConfig, old...)
				v.restart(5*time.Second, func(p *testNode) { p.see(unconfigured) }, c.without)
				time.Sleep(10 * time.Second)
				for _, name := range c.crash {
					v.speakers[name].crash()
				}
				// A node without a neighbour that answers asks as backup, because the node may be cut off itself.
				time.Sleep(partingBound + unconfiguredConfirm)
				v.hold("after the crash", 2*time.Minute, limits{owners: []string{c.owner}}, old...)
				for _, name := range c.crash {
					v.lan.Cut(name+"/eth0", false)
					v.speakers[name].boot()
				}
				time.Sleep(hearsay)
				v.hold("the nodes are back", 3*time.Minute, limits{moves: 1, owners: []string{"a", "b"}}, old...)
			})
		})
	}
}

// TestOutdatedConfiguration leaves one node with an older configuration that lets all nodes announce, while the newer
// configuration of the others excludes the node; and the other way round.
func TestOutdatedConfiguration(t *testing.T) {
	old := following(addr4, 8)
	for _, c := range []struct {
		name   string
		which  string // the node with the old configuration
		owners []string
	}{
		{"a node that is forbidden now", "c", []string{"a", "b"}},
		{"a node that is allowed", "a", []string{"a", "b", "c"}},
	} {
		sample(t, c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := edgeTestCluster(t, testConfig, old...)
				before := v.snap
				v.speakers[c.which].see(func(s *cluster.Snapshot) { s.Config, s.Versions.Config = before.Config, before.Versions.Config })
				cfg := parseConfig(t, edgeConfig)
				v.change(func(s *cluster.Snapshot) {
					s.Config, s.Versions.Config = cfg, cluster.ConfigVersion{Hash: 2, Version: 2}
				})
				time.Sleep(yieldBound)
				v.hold("the configurations differ", 5*time.Minute, limits{owners: c.owners, moves: 1, unanswered: standInDelay + standInBound - yieldBound}, old...)
				v.speakers[c.which].see(nil)
				v.hold("all nodes have the new one", 2*time.Minute, limits{owners: []string{"a", "b"}, moves: 1}, old...)
			})
		})
	}
}
