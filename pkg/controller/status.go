package controller

import (
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lanlord/lanlord/pkg/allocator"
	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/status"
)

// maxHeldBack is the maximum number of held-back addresses in a status.
const maxHeldBack = 10_000

// view holds the input and the result of one turn of the loop. A published view never changes.
type view struct {
	snapshot cluster.Snapshot
	plan     Plan
	rests    []rest
	decided  time.Time
}

// Status returns the state of the pools and the Services as the loop has last seen and decided. If the loop has not run
// yet, Status uses the snapshot of the Source. Status does not delay the loop. The caller adds the facts about the
// process.
func (c *Controller) Status() status.Controller {
	v := c.view.Load()
	if v == nil {
		v = &view{snapshot: c.Source.Snapshot()}
		v.plan.Pools = Decide(v.snapshot, nil).Pools
	}
	return v.status()
}

func (v *view) status() status.Controller {
	s := status.Controller{Pools: []status.Pool{}, Services: []status.Service{}, HeldBack: []status.HeldBack{}, Decided: v.decided}
	updates := make(map[cluster.Key]*cluster.Update, len(v.plan.Updates))
	for i := range v.plan.Updates {
		updates[v.plan.Updates[i].Key] = &v.plan.Updates[i]
	}
	for _, svc := range v.snapshot.Services {
		if svc.Managed {
			s.Services = append(s.Services, service(svc, updates[svc.Key], v.snapshot.Config))
		}
	}
	if cfg := v.snapshot.Config; cfg != nil {
		for i := range cfg.Pools {
			s.Pools = append(s.Pools, pool(&cfg.Pools[i], v.plan.Pools))
		}
		s.HeldBack = v.heldBack(cfg)
	}
	return s
}

func pool(p *config.Pool, usage []allocator.Usage) status.Pool {
	ranges := make([]string, len(p.Ranges))
	for i, r := range p.Ranges {
		ranges[i] = r.String()
	}
	told := status.Pool{
		Name: p.Name, Addresses: strings.Join(ranges, ", "), Protocols: p.Protocols(), Priority: p.Priority, AutoAssign: p.AutoAssign, Disabled: p.Disabled,
		Restricted: p.Restricted(), Families: []status.Stock{},
	}
	v4, v6 := p.Size()
	for _, u := range usage {
		if u.Pool != p.Name {
			continue
		}
		size := v4
		if u.Family == cluster.IPv6 {
			size = v6
		}
		kept := big.NewInt(int64(u.Used + u.Quarantined + u.Reserved + u.Withheld))
		told.Families = append(told.Families, status.Stock{
			Family: u.Family.String(), Size: size.String(), Free: new(big.Int).Sub(size, kept).String(), Used: u.Used, Resting: u.Resting,
			Quarantined: u.Quarantined, Reserved: u.Reserved, Withheld: u.Withheld,
		})
	}
	return told
}

func service(svc *cluster.Service, u *cluster.Update, cfg *config.Config) status.Service {
	s := status.Service{
		Namespace: svc.Key.Namespace, Name: svc.Key.Name, Wants: wants(svc), Addresses: []status.Assignment{}, State: status.Undecided,
	}
	for _, addr := range svc.Ingress {
		a := status.Assignment{Address: addr.String()}
		if cfg != nil {
			if p := cfg.PoolOf(addr); p != nil {
				a.Pool = p.Name
			}
		}
		s.Addresses = append(s.Addresses, a)
	}
	is, conflict := svc.Condition, svc.Conflict
	if u != nil {
		is, conflict = u.Condition, u.Conflict
	}
	if conflict != nil {
		s.Conflict = conflict.Message
	}
	if is == nil {
		return s
	}
	s.Reason, s.Message = is.Reason, is.Message
	switch was := svc.Condition; {
	case was != nil && was.True == is.True:
		s.Since = was.Since.UTC()
	case was == nil && !is.True:
		s.Since = svc.Created.UTC()
	}
	switch {
	case u != nil && !slices.Equal(u.Ingress, svc.Ingress):
		s.State = status.Pending
	case is.True:
		s.State = status.Assigned
	default:
		s.State = status.Waiting
	}
	return s
}

func wants(svc *cluster.Service) status.Wants {
	w := status.Wants{
		Families: []string{}, Policy: svc.FamilyPolicy.String(), Pool: svc.RequestedPool, SharingKey: svc.SharingKey,
		PreferNode: svc.PreferNode, TrafficPolicy: svc.TrafficPolicy.String(),
	}
	for _, f := range svc.Families {
		w.Families = append(w.Families, f.String())
	}
	for _, a := range svc.Requested {
		w.Addresses = append(w.Addresses, a.String())
	}
	return w
}

// shown returns the addresses in the status of the Services in the snapshot.
func (v *view) shown() map[netip.Addr]bool {
	shown := make(map[netip.Addr]bool, len(v.snapshot.Services))
	for _, svc := range v.snapshot.Services {
		for _, addr := range svc.Ingress {
			shown[addr] = true
		}
	}
	return shown
}

// heldBack lists the pool addresses that no Service has and that Lanlord does not assign freely.
func (v *view) heldBack(cfg *config.Config) []status.HeldBack {
	type held struct {
		addr netip.Addr
		status.HeldBack
	}
	var list []held
	add := func(addr netip.Addr, why status.HeldBackWhy, by string, until time.Time) {
		if p := cfg.PoolOf(addr); p != nil {
			list = append(list, held{addr, status.HeldBack{Address: addr.String(), Pool: p.Name, Why: why, By: by, Until: until}})
		}
	}
	allowed := func(addr netip.Addr) bool { return v.snapshot.OwnAddress(addr) != nil }
	for _, n := range v.snapshot.Nodes {
		for _, addr := range n.Addresses {
			if allowed(addr) {
				continue
			}
			add(addr, status.NodeAddress, n.Name, time.Time{})
		}
	}
	for _, t := range v.snapshot.Taken {
		if t.By == cluster.TakenByNode && allowed(t.Addr) {
			continue
		}
		switch t.By {
		case cluster.TakenByStranger:
			add(t.Addr, status.Quarantine, t.Name, time.Time{})
		case cluster.TakenByGateway:
			add(t.Addr, status.Gateway, t.Name, time.Time{})
		case cluster.TakenByNode:
			add(t.Addr, status.NodeAddress, t.Name, time.Time{})
		}
	}
	shown := v.shown()
	for _, c := range v.snapshot.ClaimsThatCount() {
		// A managed Service that claims an address either shows the address or waits for the address.
		if !c.Managed && !shown[c.Addr] {
			add(c.Addr, status.Claimed, c.HolderText(), time.Time{})
		}
	}
	for _, r := range v.rests {
		add(r.addr, status.Resting, r.by.String(), r.since.Add(cfg.Allocation.ReleaseDelay).UTC())
	}
	slices.SortStableFunc(list, func(x, y held) int { return x.addr.Compare(y.addr) })
	told := make([]status.HeldBack, 0, min(len(list), maxHeldBack))
	for _, h := range list[:min(len(list), maxHeldBack)] {
		told = append(told, h.HeldBack)
	}
	return told
}
