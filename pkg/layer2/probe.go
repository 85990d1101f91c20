package layer2

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// The reasons why an address cannot be probed.
var (
	// ErrHeld means that this announcer answers for the address itself and would not hear its own answer.
	ErrHeld = errors.New("this node answers for the address")
	// ErrNotAsked means that no interface exists to ask on, that no interface could send, or that the address is not a
	// unicast address.
	ErrNotAsked = errors.New("no interface to ask on")
)

// The defaults of ProbeOptions: silence is certain after 80 ms.
const (
	defaultProbeCount    = 2
	defaultProbeInterval = 40 * time.Millisecond
)

// ProbeOptions configure a probe. The zero value asks all stations twice within 40 ms and waits another 40 ms.
type ProbeOptions struct {
	// Interfaces are names or patterns, as in Target.
	Interfaces []string
	// To is the only station to ask. The zero value asks all stations.
	To MAC
	// Count is the number of questions, at least one. 0 means two.
	Count int
	// Interval is the time to wait for an answer after each question. 0 means 40 ms.
	Interval time.Duration
	// Linger is the time to listen for a second station after the first answer.
	Linger time.Duration
}

func (o ProbeOptions) withDefaults() ProbeOptions {
	if o.Count <= 0 {
		o.Count = defaultProbeCount
	}
	if o.Interval <= 0 {
		o.Interval = defaultProbeInterval
	}
	return o
}

// Outcome is the result of a probe.
type Outcome uint8

// The outcomes.
const (
	// Unasked means that the probe did not complete, so the result is unknown. An error gives the reason.
	Unasked Outcome = iota
	// Silent means that no station answered.
	Silent
	// Contested means that no station has the address, but another station is probing for the address too (RFC 5227,
	// section 2.1.1).
	Contested
	// Taken means that a station answered, or used the address in another frame.
	Taken

	outcomes
)

// String returns the outcome for metrics and logs.
func (o Outcome) String() string {
	switch o {
	case Unasked:
		return "unasked"
	case Silent:
		return "silent"
	case Contested:
		return "contested"
	case Taken:
		return "taken"
	}
	return "unknown"
}

// Sighting describes another station heard during a probe.
type Sighting struct {
	// MAC is the hardware address of the station.
	MAC MAC
	// Interface is the name of the interface that heard the station.
	Interface string
	// Form is the kind of the frame.
	Form Form
	// After is the time from the first question to the frame.
	After time.Duration
}

// Finding is the result of a probe.
type Finding struct {
	// Outcome summarizes the result.
	Outcome Outcome
	// Heard lists the stations in the order of their first frames, each station once for each interface.
	Heard []Sighting
	// Asked lists the names of the interfaces that sent a question.
	Asked []string
	// Last is the time of the last question, zero without a question. Silence proves nothing about times long after
	// Last.
	Last time.Time
}

// Probe asks the network which station has an address. Probe does not claim the address and changes no neighbour's
// cache: for IPv4, Probe sends ARP requests from 0.0.0.0 (RFC 5227, section 2.1.1). For IPv6, Probe sends solicitations
// from the link-local address of the interface, and stations answer only to this host. Probe returns with the first
// answer (of the station in To, if set), or without an answer after Count times Interval.
//
// Of several interfaces in one network, Probe uses the interface that serves the address. Questions obey the rate of
// their interface: questions wait for the first announcements of addresses, and precede the repeats. Any number of
// probes may run at once. An address in Mode Answer can only be probed at one station (to find out whether the station
// answers too); otherwise the error is ErrHeld.
//
// With an error, the Outcome is Taken if a station was heard before the error, and otherwise Unasked, never Silent.
func (a *Announcer) Probe(ctx context.Context, addr netip.Addr, o ProbeOptions) (Finding, error) {
	addr, o = addr.Unmap().WithZone(""), o.withDefaults()
	finding, err := a.probe(ctx, addr, o)
	if err != nil {
		err = fmt.Errorf("probe %s: %w", addr, err)
	}
	if addr.IsValid() {
		a.metrics.probes[protocolOf(addr)][finding.Outcome].Inc()
	}
	return finding, err
}

func (a *Announcer) probe(ctx context.Context, addr netip.Addr, o ProbeOptions) (Finding, error) {
	if !addr.IsValid() || addr.IsUnspecified() || addr.IsMulticast() {
		return Finding{}, ErrNotAsked
	}
	if o.To == (MAC{}) && answers(a.targets.load(), addr) {
		return Finding{}, ErrHeld
	}
	ports := a.portsFor(addr, o.Interfaces)
	q := newInquiry(addr, o, len(ports))
	a.inquiries.add(q)
	defer func() {
		q.given.Store(true)
		a.inquiries.remove(q)
	}()
	r := probing{inquiry: q, options: o, ports: ports, began: time.Now()}
	err := r.run(ctx)
	r.finding.Outcome = r.outcome(err)
	return r.finding, err
}

// portsFor returns the ports of the links that serve a target with this address.
func (a *Announcer) portsFor(addr netip.Addr, interfaces []string) []*port {
	l := a.layout.Load()
	if l == nil {
		return nil
	}
	chosen := l.serving(Target{Addr: addr, Interfaces: interfaces}, nil)
	var ports []*port
	for _, p := range *a.ports.Load() {
		index := p.table.Load().Index
		if slices.ContainsFunc(chosen, func(at int) bool { return l.links[at].Index == index }) {
			ports = append(ports, p)
		}
	}
	return ports
}

// probing is one call of Probe. probing belongs to the goroutine of the caller.
type probing struct {
	*inquiry
	options ProbeOptions
	ports   []*port
	began   time.Time // the time of the first question, after the first question is sent
	finding Finding
}

// run asks and listens until an answer comes, or until the silence has lasted long enough.
func (r *probing) run(ctx context.Context) error {
	for range r.options.Count {
		if err := r.ask(ctx); err != nil || r.answered() {
			return r.end(ctx, err)
		}
		if err := r.listen(ctx, r.options.Interval); err != nil || r.answered() {
			return r.end(ctx, err)
		}
	}
	return nil
}

// end listens for other stations after an answer. After an answer, an error does not matter.
func (r *probing) end(ctx context.Context, err error) error {
	if !r.taken() {
		return err
	}
	for until := time.Now().Add(r.options.Linger); ctx.Err() == nil && time.Now().Before(until); {
		_ = r.listen(ctx, time.Until(until)) // the loop condition checks ctx
	}
	return nil
}

// ask makes every port send one question, and waits until all ports have sent the question or a station answers.
func (r *probing) ask(ctx context.Context) error {
	waiting, sent := 0, 0
	for _, p := range r.ports {
		if p.ask(r.inquiry) {
			waiting++
		}
	}
	var errs []error
	for ; waiting > 0 && !r.answered(); waiting-- {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case s := <-r.heard:
			r.note(s)
			waiting++ // a sighting is no report of a port
		case s := <-r.sent:
			if s.err != nil {
				errs = append(errs, s.err)
				continue
			}
			sent++
			r.noteAsked(s)
		}
	}
	if sent == 0 && !r.taken() {
		return errors.Join(append([]error{ErrNotAsked}, errs...)...)
	}
	return nil
}

// listen waits for the first answer, at most for d.
func (r *probing) listen(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	known := len(r.finding.Heard)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case s := <-r.heard:
			r.note(s)
			if len(r.finding.Heard) > known && r.answered() {
				return nil
			}
		case <-timer.C:
			return nil
		}
	}
}

func (r *probing) noteAsked(s sent) {
	r.finding.Last = s.at
	if len(r.finding.Asked) == 0 {
		r.began = s.at
	}
	if !slices.Contains(r.finding.Asked, s.name) {
		r.finding.Asked = append(r.finding.Asked, s.name)
	}
}

func (r *probing) note(s sighting) {
	same := func(o Sighting) bool {
		return o.MAC == s.claim.MAC && o.Interface == s.claim.Interface && (o.Form == Probing) == (s.claim.Form == Probing)
	}
	if !slices.ContainsFunc(r.finding.Heard, same) {
		after := max(0, s.at.Sub(r.began))
		r.finding.Heard = append(r.finding.Heard, Sighting{MAC: s.claim.MAC, Interface: s.claim.Interface, Form: s.claim.Form, After: after})
	}
}

// answered reports whether the probe has its answer: a station was heard or, if the probe asks only one station, that
// station was heard. Claims of other stations say nothing about the asked station.
func (r *probing) answered() bool {
	to := r.options.To
	return slices.ContainsFunc(r.finding.Heard, func(s Sighting) bool { return s.Form != Probing && (to == MAC{} || s.MAC == to) })
}

func (r *probing) taken() bool {
	return slices.ContainsFunc(r.finding.Heard, func(s Sighting) bool { return s.Form != Probing })
}

func (r *probing) outcome(err error) Outcome {
	switch {
	case r.taken():
		return Taken
	case err != nil:
		return Unasked
	case len(r.finding.Heard) > 0:
		return Contested
	}
	return Silent
}
