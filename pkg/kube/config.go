package kube

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/metallb"
)

// accepted is a valid configuration.
type accepted struct {
	config *config.Config
	text   string
	// version is the resourceVersion of the user's ConfigMap with the text, or of the newest change of MetalLB's
	// resources. It is 0 if unknown.
	version uint64
}

// configSource is the origin of a configuration.
type configSource uint8

const (
	// fromUser is the user's ConfigMap, or MetalLB's resources.
	fromUser configSource = iota
	// fromState is the ConfigMap lanlord-state, in which the controller keeps the last configuration that it accepted.
	fromState
	// fromHandover is the previous process.
	fromHandover
	configSources
)

// String returns the name of the source in the log.
func (c configSource) String() string {
	return [...]string{"the user's ConfigMap", "the ConfigMap " + StateConfigMap, "the process before this one"}[c]
}

// configChoice chooses the configuration in use: the user's newest ConfigMap if it is valid, else the newest valid
// configuration of any source. A configuration in use is never replaced by none.
type configChoice struct {
	log *slog.Logger
	// object and version belong to the user's newest ConfigMap. refusal is the reason to refuse that ConfigMap, nil if
	// it is used.
	object  cluster.ObjectRef
	version string
	refusal error
	// metallb is true when MetalLB's resources replace the user's ConfigMap.
	metallb bool
	// read is true once the user's ConfigMap was listed. Nothing is chosen before.
	read bool
	// last holds the last valid configuration of each source, nil for none.
	last [configSources]*accepted

	// inUse is nil without a configuration. source, hash and since belong to inUse: hash is the beginning of the
	// SHA-256 of the text, never 0, and since is the time at which this process began to use the configuration.
	inUse  *accepted
	source configSource
	hash   uint64
	since  time.Time
	// used rings when the configuration in use changes.
	used bell
	withdrawals
}

// newConfigChoice returns a configChoice that has read nothing yet.
func newConfigChoice(o Options) configChoice {
	c := configChoice{log: o.Log, used: newBell(), metallb: o.MetalLB != ""}
	c.changed = newBell()
	if c.metallb {
		c.object = cluster.ObjectRef{Kind: "Namespace", Name: o.MetalLB}
		c.refusal = fmt.Errorf("MetalLB's resources in the namespace %s have not been read yet", o.MetalLB)
		return c
	}
	c.object = configRef(o, "")
	c.refusal = fmt.Errorf("ConfigMap %s/%s has not been read yet", o.Namespace, o.ConfigMap)
	return c
}

// choose sets the configuration in use and reports whether the configuration in use has changed.
func (c *configChoice) choose() (changed bool) {
	source, best := fromUser, c.last[fromUser]
	if c.refusal != nil {
		for _, other := range []configSource{fromState, fromHandover} {
			if a := c.last[other]; a != nil && (best == nil || c.rank(a) > c.rank(best)) {
				source, best = other, a
			}
		}
	}
	if !c.read || best == nil {
		return false
	}
	if c.inUse != nil && c.inUse.text == best.text {
		// Readers compare pointers, so the same text must keep its configuration.
		c.inUse, c.source = &accepted{c.inUse.config, best.text, best.version}, source
		return false
	}
	was := c.inUse
	c.inUse, c.source, c.since = best, source, time.Now()
	c.replaced(was)
	c.used.ring()
	sum := sha256.Sum256([]byte(best.text))
	c.hash = max(binary.BigEndian.Uint64(sum[:]), 1)
	if source != fromUser {
		c.log.Warn("using the last accepted configuration, because the newest one cannot be used",
			"source", source.String(), "version", best.version, "err", c.refusal)
	}
	return true
}

// rank returns the version of a configuration, or 0, older than any version, for a configuration from the other kind of
// source: somebody has switched from MetalLB's resources to the ConfigMap, or back.
func (c *configChoice) rank(a *accepted) uint64 {
	if metallb.IsLive(a.text) != c.metallb {
		return 0
	}
	return a.version
}

// offer sets the configuration of a fallback source, unless the source had a newer configuration before.
func (c *configChoice) offer(source configSource, a *accepted) (changed bool) {
	if had := c.last[source]; a == nil || had != nil && had.version > a.version {
		return false
	}
	c.last[source] = a
	return c.choose()
}

// distrust makes the configurations of these sources older than any other. The Store calls distrust after a restore of
// the API server's data from a backup.
func (c *configChoice) distrust(sources ...configSource) {
	for _, source := range sources {
		if a := c.last[source]; a != nil {
			c.last[source] = &accepted{a.config, a.text, 0}
		}
	}
}

// fallback returns a sentence if an older configuration of another source is in use, and "" otherwise.
func (c *configChoice) fallback() string {
	if c.refusal == nil || c.inUse == nil || c.source == fromUser {
		return ""
	}
	what := "the newest ConfigMap is refused"
	switch {
	case c.metallb:
		what = "MetalLB's resources are refused"
	case c.object.UID == "":
		what = "the ConfigMap is missing"
	}
	return fmt.Sprintf("%s, and the last accepted configuration, from resourceVersion %d, is in use", what, c.inUse.version)
}

// configState returns the state of the newest ConfigMap or set of resources for snapshots. The caller holds Store.mu.
func (s *Store) configState() cluster.ConfigState {
	state := s.config.state()
	state.Objects = s.set.problems
	return state
}

// state returns the state of the newest ConfigMap for snapshots.
func (c *configChoice) state() cluster.ConfigState {
	state := cluster.ConfigState{Object: c.object, Version: c.version, Problem: c.refusal, Known: c.inUse != nil && !c.fresh}
	if text := c.fallback(); text != "" {
		state.Problem = fmt.Errorf("%s: %w", text, c.refusal)
	}
	return state
}

// config returns the configuration in use together with the past configurations whose delay runs, nil without a
// configuration.
func (c *configChoice) config() *config.Config { return c.effective }

// shortHash returns the 48 bits of the hash for metrics and status. A float64 holds 48 bits exactly.
func (c *configChoice) shortHash() uint64 { return c.hash >> 16 }

func (c *configChoice) versions() cluster.ConfigVersion {
	if c.inUse == nil {
		return cluster.ConfigVersion{}
	}
	return cluster.ConfigVersion{Hash: c.hash, Version: c.inUse.version}
}

// Offer gives the Store the configuration in use of the previous process. version is the resourceVersion of the
// ConfigMap with the text. The Store uses the text only while the user's ConfigMap is refused or missing and no newer
// accepted configuration is known. Offer ignores a text that is not valid, and an empty text without a version, which
// means no configuration.
func (s *Store) Offer(text string, version uint64) {
	if text == "" && version == 0 {
		return
	}
	cfg, err := config.Parse([]byte(text))
	if err != nil {
		s.opt.Log.Warn("a configuration is not valid and is ignored", "source", fromHandover.String(), "version", version, "err", err)
		return
	}
	s.mu.Lock()
	changed := s.config.offer(fromHandover, &accepted{cfg, text, version})
	s.mu.Unlock()
	s.moved(changed)
}

// ConfigText returns the text of the configuration in use and the resourceVersion of the ConfigMap with the text.
// Without a configuration both are zero.
func (s *Store) ConfigText() (text string, version uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.config.inUse == nil {
		return "", 0
	}
	return s.config.inUse.text, s.config.inUse.version
}

// configChanged takes over a version of the user's ConfigMap. The caller holds Store.mu.
func (s *Store) configChanged(_ cluster.Key, _ string, old, row *configRow) (wake bool) {
	c := &s.config
	s.keeping.ring()
	switch {
	case row == nil && old == nil:
		return false
	case row == nil:
		c.object, c.version, c.refusal = configRef(s.opt, ""), "", s.missingConfig()
		c.choose()
		return true
	case old != nil && old.uid == row.uid && old.text == row.text && old.found == row.found:
		// The change concerns only labels or other metadata.
		row.config, row.problem = old.config, old.problem
	default:
		wake = true
	}
	c.object, c.version, c.refusal = configRef(s.opt, row.uid), row.version, row.problem
	if row.problem == nil {
		c.last[fromUser] = &accepted{row.config, row.text, number(row.version)}
	}
	return c.choose() || wake
}

func configRef(o Options, uid string) cluster.ObjectRef {
	return cluster.ObjectRef{Kind: "ConfigMap", Namespace: o.Namespace, Name: o.ConfigMap, UID: uid}
}

// missingConfig returns the problem of a ConfigMap that does not exist.
func (s *Store) missingConfig() error {
	return fmt.Errorf("there is no ConfigMap %q in the namespace %q: create it with an entry %q "+
		"(kubectl -n %s create configmap %s --from-file=%s=FILE), or name another one with --namespace and --config-map",
		s.opt.ConfigMap, s.opt.Namespace, configKey, s.opt.Namespace, s.opt.ConfigMap, configKey)
}
