package membership

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/prometheus/client_golang/prometheus"
)

// Member is a node that gossip holds to be alive.
type Member struct {
	Name string
	// Addr is where the member listens for gossip.
	Addr netip.AddrPort
	// State is what the member says of itself.
	State State
	// Links are the interfaces that the member announces from, sorted by name. Nobody may change them.
	Links []Link
}

// Has tells whether mac is the address of one of the member's links.
func (m Member) Has(mac MAC) bool {
	return slices.ContainsFunc(m.Links, func(l Link) bool { return l.MAC == mac })
}

func (m Member) equal(o Member) bool {
	return m.Name == o.Name && m.Addr == o.Addr && m.State == o.State && slices.EqualFunc(m.Links, o.Links, Link.equal)
}

// Options are what a Membership is made of.
type Options struct {
	// Name is this node's name, unique in the cluster.
	Name string
	// Bind is where to listen for gossip, over TCP and UDP: an address of this node that the others can reach.
	Bind netip.AddrPort
	// Keys are secrets of at least 16 bytes. The first encrypts what is sent; whatever is encrypted with any of them is
	// accepted, and nothing else.
	Keys [][]byte
	// Peers returns where the other members should be found. This member's own address may be among them. It is called
	// about once a second, from a goroutine of Run, and must not block.
	Peers func() []netip.AddrPort
	// Wake is called after the result of Members or Settled has changed. It must not block, and must not call back. It may be nil.
	Wake func()
	// Suspected is called when another member says by Suspect that it has heard nothing from the member of this name for
	// silent. It must not block, and may be called from several goroutines at once. It may be nil.
	Suspected func(name string, silent time.Duration)
	Log       *slog.Logger
	// Registerer receives the metrics.
	Registerer prometheus.Registerer
}

// Membership keeps the list of members. Its zero value is of no use; see New.
type Membership struct {
	options Options
	keyring *memberlist.Keyring
	events  *prometheus.CounterVec
	refused *prometheus.CounterVec

	own       atomic.Pointer[announcement]
	published atomic.Pointer[view]
	// settled is what Settled returns.
	settled atomic.Bool
	// frozen is set when this member leaves: what it hears from then on is not the state of the cluster.
	frozen atomic.Bool
	// handedOver is set when another process of this node is to take over the name.
	handedOver atomic.Bool
	// list is memberlist while it can be asked, else nil.
	list atomic.Pointer[memberlist.Memberlist]
	// changed wakes the loop of Run.
	changed chan struct{}
	// announced wakes keepJoining when memberlist has been told what this member says of itself.
	announced chan struct{}

	// adjust changes the configuration, its transport above all, in tests that cut the network. It is nil otherwise.
	adjust func(*memberlist.Config)
}

// announcement is what this member says of itself. It is immutable.
type announcement struct {
	state State
	links []Link
	meta  []byte
	// out is what there was no room for.
	out leftOut
}

func newAnnouncement(state State, links []Link) (*announcement, error) {
	meta, out, err := encodeMeta(state, links)
	if err != nil {
		return nil, err
	}
	state, links, err = parseMeta(meta)
	return &announcement{state: state, links: links, meta: meta, out: out}, err
}

// New checks the options and registers the metrics. Nothing is started, and no socket is opened, before Run.
func New(options Options) (*Membership, error) {
	if options.Name == "" {
		return nil, errors.New("membership: no node name")
	}
	options.Bind = netip.AddrPortFrom(options.Bind.Addr().Unmap(), options.Bind.Port())
	if a := options.Bind.Addr(); !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.Zone() != "" {
		return nil, fmt.Errorf("membership: gossip address %s is not one that other nodes can reach", options.Bind)
	}
	keyring, err := newKeyring(options.Keys)
	if err != nil {
		return nil, fmt.Errorf("membership: %w", err)
	}
	if options.Wake == nil {
		options.Wake = func() {}
	}
	m := &Membership{
		options: options, keyring: keyring, changed: make(chan struct{}, 1), announced: make(chan struct{}, 1),
	}
	own, err := newAnnouncement(Joining, nil)
	if err != nil {
		return nil, fmt.Errorf("membership: %w", err)
	}
	m.own.Store(own)
	m.published.Store(&view{members: []Member{m.self(options.Bind)}})
	if err := m.registerMetrics(options.Registerer); err != nil {
		return nil, fmt.Errorf("membership: register metrics: %w", err)
	}
	return m, nil
}

// Members returns the living members sorted by name, this one included. From the moment that the context of Run ends the
// list stays as it is. The slice is immutable.
func (m *Membership) Members() []Member { return m.published.Load().members }

// Settled is false until this member has heard from another one, or has tried its peers in vain for three
// seconds, or has none. Before that an empty list of others means nothing. Once true it stays true.
func (m *Membership) Settled() bool { return m.settled.Load() }

// SetState changes what this member says of itself; it begins as Joining, without links. The others hear of it when
// Run runs; what was set before is what they hear first. What exceeds the 512 bytes there are is left out, subnets before
// links and the last links first, and that is logged. It returns an error when state is Unknown, when two links have one
// name, or when a link cannot be: its name, its MAC address, one of its subnets or its beacon. It is for one goroutine at a
// time.
func (m *Membership) SetState(state State, links []Link) error {
	own, err := newAnnouncement(state, links)
	if err != nil {
		return fmt.Errorf("announce this node as %s: %w", state, err)
	}
	before := m.own.Load()
	if out := own.out; out != before.out && out != (leftOut{}) {
		m.options.Log.Warn("the other speakers are not told of all links of this one, for lack of room",
			"subnets", out.subnets, "links", out.links)
	}
	if own.out == before.out && bytes.Equal(own.meta, before.meta) {
		return nil
	}
	m.own.Store(own)
	m.publish(func(v *view) *view {
		i, _ := v.find(m.options.Name)
		return v.with(m.self(v.members[i].Addr), nil)
	})
	return nil
}

// self returns this member as it announces itself.
func (m *Membership) self(addr netip.AddrPort) Member {
	own := m.own.Load()
	return Member{Name: m.options.Name, Addr: addr, State: own.state, Links: own.links}
}

// publish replaces the view by what change makes of it, and wakes the loop of Run and the owner's when that is a change.
func (m *Membership) publish(change func(*view) *view) {
	for !m.frozen.Load() {
		before := m.published.Load()
		after := change(before)
		if before == after {
			return
		}
		if m.published.CompareAndSwap(before, after) {
			if len(after.members) > 1 {
				m.settled.Store(true)
			}
			select {
			case m.changed <- struct{}{}:
			default: // the loop of Run will look anyway
			}
			m.options.Wake()
			return
		}
	}
}

// Run joins the others, stays a member and keeps trying to reach peers that are none. When ctx ends it takes leave of the
// others, unless HandOver was called, which takes half a second at most, or two seconds while a peer is being tried, and
// returns nil. It returns an error when the sockets cannot be opened. It may be called once.
func (m *Membership) Run(ctx context.Context) error {
	logger := log.New(&logBridge{log: m.options.Log, refuse: m.refuse}, "", 0)
	// memberlist does not wait for its goroutines when it shuts down; none of them shall be heard after this returns.
	defer logger.SetOutput(io.Discard)
	announced := m.own.Load()
	list, err := m.create(logger)
	if err != nil {
		return fmt.Errorf("listen for gossip on %s: %w", m.options.Bind, err)
	}
	m.list.Store(list)
	var joining sync.WaitGroup
	joining.Go(func() { m.keepJoining(ctx, list) })
	m.loop(ctx, list, announced)

	m.frozen.Store(true)
	m.list.Store(nil)
	if m.handedOver.Load() {
		m.options.Log.Info("membership is handed over to another process of this node")
	} else if err := list.Leave(leaveTimeout); err != nil {
		m.options.Log.Warn("some members may not know that this one leaves", "err", err)
	}
	if err := list.Shutdown(); err != nil {
		m.options.Log.Warn("close gossip sockets", "err", err)
	}
	joining.Wait()
	return nil
}

// HandOver makes Run, when its context ends, close the sockets at once and take no leave, so that another process of this
// node can be the member of this name and address: if it runs within 300 ms, the others see nothing but its metadata in
// place of this one's.
func (m *Membership) HandOver() { m.handedOver.Store(true) }

// SetKeys replaces the keys, at any time: what is sent from now on is encrypted with the first, and whatever is encrypted
// with any of them is accepted. To change keys without loss, all members first accept the new one, then use it, then drop the
// old one. It returns an error when there is no key or one has fewer than 16 bytes; then nothing has changed. It is for one
// goroutine at a time.
func (m *Membership) SetKeys(secrets [][]byte) error {
	keys, err := deriveKeys(secrets)
	if err != nil {
		return fmt.Errorf("change gossip keys: %w", err)
	}
	if err := replaceKeys(m.keyring, keys); err != nil {
		return fmt.Errorf("change gossip keys: %w", err)
	}
	return nil
}

// loop has memberlist announce what SetState was told, and logs who comes and goes, until ctx ends. announced is what
// memberlist began with, or something older.
func (m *Membership) loop(ctx context.Context, list *memberlist.Memberlist, announced *announcement) {
	logged := &view{}
	for {
		if own := m.own.Load(); own != announced {
			announced = own
			// The news is queued before the wait, and nothing follows here from its having been sent, so an expired wait
			// is no error.
			_ = list.UpdateNode(updateWait)
			select {
			case m.announced <- struct{}{}:
			default: // keepJoining has not yet seen the news before this one
			}
		}
		now := m.published.Load()
		m.logChanges(logged, now)
		logged = now
		select {
		case <-ctx.Done():
			return
		case <-m.changed:
		}
	}
}

// logChanges logs the difference between two views, this member left out.
func (m *Membership) logChanges(before, after *view) {
	log := m.options.Log
	for _, old := range before.members {
		if _, found := after.find(old.Name); !found {
			log.Info("member gone", "node", old.Name, "address", old.Addr, "state", old.State)
		}
	}
	for _, member := range after.members {
		if member.Name == m.options.Name {
			continue
		}
		i, found := before.find(member.Name)
		switch {
		case !found:
			log.Info("member joined", "node", member.Name, "address", member.Addr, "state", member.State)
		case !member.equal(before.members[i]):
			log.Info("member changed", "node", member.Name, "address", member.Addr, "state", member.State)
		}
		problem := after.problems[member.Name]
		if problem != nil && (before.problems[member.Name] == nil || before.problems[member.Name].Error() != problem.Error()) {
			log.Warn("member is not counted as ready", "node", member.Name, "err", problem)
		}
	}
}

// view is the list of members at one moment. It is immutable.
type view struct {
	members []Member // sorted by name
	// problems say by name why a member's metadata cannot be read; nil when all can.
	problems map[string]error
}

// find returns where the member of this name is, or would be.
func (v *view) find(name string) (int, bool) {
	return slices.BinarySearchFunc(v.members, name, func(m Member, name string) int {
		return strings.Compare(m.Name, name)
	})
}
