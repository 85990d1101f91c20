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
	// PartRest is the load of controller and speakers while nothing happens, and their memory.
	PartRest = "rest"
	// PartARP is how fast a speaker answers ARP requests, beside the kernel.
	PartARP = "arp"
	// PartCrash is the crash of nodes.
	PartCrash = "crash"
	// PartCreate is the creation of Services one by one, beside a bare client.
	PartCreate = "create"
)

// Parts returns the parts of a comparison.
func Parts() []string { return []string{PartRest, PartARP, PartCrash, PartCreate} }

// manyServices are enough for the rows of a node with hundreds of addresses, and too many for the rows of a few.
const manyServices = 1000

// Turns say what is measured of each side, in turns.
type Turns struct {
	// Sides take their turns in this order. The addresses that they announce are given by the last side, which is
	// Lanlord.
	Sides []Side
	// Parts are some of [Parts].
	Parts []string
	// Services is how many there are, at least 1.
	Services int
	// Rounds is how often each side has its turn, and Crashes how many nodes crash in each turn.
	Rounds, Crashes int
	// Warm is how long the programs run before they are measured at rest, and Idle how long they are measured.
	Warm, Idle time.Duration
	// MostGuests is how many Services are the most that MetalLB creates: the time is quadratic.
	MostGuests int
}

// wants tells whether a part is measured.
func (t Turns) wants(part string) bool { return slices.Contains(t.Parts, part) }

// Turn is what was measured of a side in one turn.
type Turn struct {
	Rest    Usage
	Memory  Resident
	Answers wire.Answers
	Crashes []wire.Result
}

// Comparison is what was measured with one number of Services.
type Comparison struct {
	Services, Speakers int
	Sides              []Side
	// Turns, Created and Reference belong to the side of the same index. Created is zero for a side that created nothing.
	Turns     [][]Turn
	Created   []Assignment
	Reference []Reference
}

// Beside makes a Rig, lets the sides take their turns in it, and removes the Rig. say is called before each step. The
// comparison has what was measured also if there is an error.
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

// guestHold is how long the fault of a node lasts where MetalLB is to notice it.
const guestHold = 15 * time.Second

// crash takes the power from the node that answers for one of the addresses.
func (r *Rig) crash(ctx context.Context, side Side) (wire.Result, error) {
	fault := crashFault()
	if side.MetalLB != "" {
		fault.Hold = guestHold
	}
	return r.round(ctx, fault)
}
