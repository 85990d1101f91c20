package scale

import (
	"context"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanlord/lanlord/e2e/wire"
)

// The parts of a comparison.
const (
	// PartRest measures the load of controller and speakers while nothing happens, and their memory.
	PartRest = "rest"
	// PartARP measures the speed of a speaker's answers to ARP requests, beside the kernel.
	PartARP = "arp"
	// PartCrash lets nodes crash.
	PartCrash = "crash"
	// PartCreate measures the creation of Services one by one, beside a bare client.
	PartCreate = "create"
)

// Parts returns the parts of a comparison.
func Parts() []string { return []string{PartRest, PartARP, PartCrash, PartCreate} }

// From manyServices on, a node has hundreds of addresses, and other rows of the table show its crash.
const manyServices = 1000

// Turns plan a comparison: each side has its turns, one after the other.
type Turns struct {
	// Sides take their turns in this order. The last side is Lanlord's, and gives the addresses that all sides announce.
	Sides []Side
	// Parts are some of [Parts].
	Parts []string
	// Services counts the Services, at least 1.
	Services int
	// Rounds counts the turns of each side, and Crashes the crashes of nodes in each turn; both are at least 1.
	Rounds, Crashes int
	// The programs run for Warm before their load at rest is measured for Idle.
	Warm, Idle time.Duration
	// MostGuests limits the Services for which MetalLB takes part in the creation, since the time grows with their
	// square.
	MostGuests int
}

// wants tells whether a part is measured.
func (t Turns) wants(part string) bool { return slices.Contains(t.Parts, part) }

// Turn holds the figures of one turn of a side. Parts that were not measured are zero.
type Turn struct {
	Rest    Usage
	Memory  Resident
	Answers wire.Answers
	Crashes []wire.Result
}

// Comparison holds the figures with one number of Services.
type Comparison struct {
	Services, Speakers int
	Sides              []Side
	// Turns, Created and Reference belong to the side of the same index. Created is zero for a side that created nothing.
	Turns     [][]Turn
	Created   []Assignment
	Reference []Reference
}

// Beside makes a Rig, lets the sides take their turns in the Rig, and removes the Rig. Beside calls say before each
// step. After an error the comparison has the figures that were measured before.
func Beside(ctx context.Context, o Options, t Turns, say func(string)) (Comparison, error) {
	n := len(t.Sides)
	c := Comparison{
		Services: t.Services, Speakers: o.Speakers, Sides: t.Sides, Turns: make([][]Turn, n),
		Created: make([]Assignment, n), Reference: make([]Reference, n),
	}
	o.Unstarted, o.Controller, o.Speaker = true, t.Sides[n-1].Controller, t.Sides[n-1].Speaker
	say(fmt.Sprintf("control plane and nodes, for %d Services", t.Services))
	r, err := New(ctx, o)
	if err != nil {
		return c, err
	}
	defer r.Close()
	if err := r.create(ctx, t, &c, say); err != nil {
		return c, fmt.Errorf("%d Services: %w", t.Services, err)
	}
	if !t.wants(PartRest) && !t.wants(PartARP) && !t.wants(PartCrash) {
		return c, nil
	}
	say("endpoints")
	if err := r.Announce(ctx, 0); err != nil {
		return c, err
	}
	for round := range t.Rounds {
		for i, side := range t.Sides {
			say(fmt.Sprintf("%s, turn %d of %d", side.Name, round+1, t.Rounds))
			turn, err := r.turn(ctx, side, t)
			if err != nil {
				return c, fmt.Errorf("%d Services, turn %d of %s: %w", t.Services, round+1, side.Name, err)
			}
			c.Turns[i] = append(c.Turns[i], turn)
		}
	}
	return c, nil
}

// create lets each side create the Services if that is measured, and the last side in any case. The Services of the
// last side stay.
func (r *Rig) create(ctx context.Context, t Turns, c *Comparison, say func(string)) (err error) {
	last := len(t.Sides) - 1
	for i, side := range t.Sides {
		if i < last && (!t.wants(PartCreate) || side.MetalLB != "" && t.Services > t.MostGuests) {
			continue
		}
		if t.wants(PartCreate) {
			say("what the API server alone takes")
			if err := r.halt(); err != nil {
				return err
			}
			if c.Reference[i], err = r.Reference(ctx, t.Services); err != nil {
				return err
			}
		}
		say(side.Name + " gives addresses to Services")
		if err := r.take(ctx, side); err != nil {
			return err
		}
		created, err := r.grow(ctx, t.Services)
		if err != nil {
			return fmt.Errorf("%s: %w", side.Name, err)
		}
		if t.wants(PartCreate) {
			c.Created[i] = created
		}
		if i < last {
			if err := r.clear(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// clear ends the side that runs, and deletes the Services.
func (r *Rig) clear(ctx context.Context) error {
	if err := r.halt(); err != nil {
		return err
	}
	services := r.server.Admin.CoreV1().Services(appNamespace)
	err := r.each(ctx, r.services, func(ctx context.Context, i int) error {
		return services.Delete(ctx, ours(i), metav1.DeleteOptions{})
	})
	r.services = 0
	return err
}

// turn measures one turn of a side.
func (r *Rig) turn(ctx context.Context, side Side, t Turns) (turn Turn, err error) {
	if err := r.take(ctx, side); err != nil {
		return turn, err
	}
	if err := r.settle(ctx); err != nil {
		return turn, err
	}
	if t.wants(PartRest) {
		if err := wire.Pause(ctx, t.Warm); err != nil {
			return turn, err
		}
		if turn.Rest, err = r.Idle(ctx, t.Idle); err != nil {
			return turn, err
		}
		if turn.Memory, err = r.Memory(); err != nil {
			return turn, err
		}
		if err := r.profile(ctx); err != nil {
			return turn, err
		}
	}
	if t.wants(PartARP) && t.Services < manyServices {
		if turn.Answers, err = r.lab.Answers(ctx); err != nil {
			return turn, err
		}
	}
	crashes := 0
	if t.wants(PartCrash) {
		crashes = t.Crashes
		if t.Services >= manyServices {
			crashes = 1
		}
	}
	for range crashes {
		crash, err := r.crash(ctx, side)
		if err != nil {
			return turn, err
		}
		turn.Crashes = append(turn.Crashes, crash)
	}
	return turn, nil
}

// guestHold keeps a node without power for long enough that MetalLB notices.
const guestHold = 15 * time.Second

// crash takes the power from the node that answers for one of the addresses.
func (r *Rig) crash(ctx context.Context, side Side) (wire.Result, error) {
	fault := crashFault()
	if side.MetalLB != "" {
		fault.Hold = guestHold
	}
	return r.round(ctx, fault)
}
