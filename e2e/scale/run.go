package scale

import (
	"context"
	"fmt"
	"time"

	"github.com/lanlord/lanlord/e2e/wire"
)

// Plan says what is measured in one Rig.
type Plan struct {
	// Services is how many there are, at least 1.
	Services int
	// Idle is how long nothing happens. Changes is how many endpoint changes and how many heartbeats there are.
	Idle    time.Duration
	Changes int
	// Reference says to measure the API server alone too, Again to take all addresses away and have them given at once, and
	// Crash to let a node lose its power.
	Reference, Again, Crash bool
}

// Result is what was measured.
type Result struct {
	Services, Speakers, Nodes int
	Plan                      Plan

	Reference      Reference
	Created, Again Assignment
	// Announced is from the first endpoint that was made to the last address that a node answers for.
	Announced time.Duration

	Idle, Endpoints, Heartbeats Usage
	Foreign                     Foreign
	// Settled is the memory after Idle, Restarted that after the controller and a speaker were started again.
	Settled, Restarted Resident

	// ControllerStarted and ControllerStopped are until a new Service has an address, from the start of the controller and from
	// when the one before was told to stop. SpeakerReady is from the start of a speaker.
	ControllerStarted, ControllerStopped, SpeakerReady time.Duration
	Crash                                              wire.Result
}

// Measure makes a Rig, carries out the plan, and removes the Rig. say is called before each step.
func Measure(ctx context.Context, o Options, p Plan, say func(string)) (Result, error) {
	result := Result{Services: p.Services, Speakers: o.Speakers, Nodes: o.Nodes, Plan: p}
	say("control plane, nodes and speakers")
	r, err := New(ctx, o)
	if err != nil {
		return result, err
	}
	defer r.Close()
	steps := []struct {
		about  string
		wanted bool
		do     func() error
	}{
		{"what the API server alone takes", p.Reference, func() (err error) {
			result.Reference, err = r.Reference(ctx, p.Services)
			return err
		}},
		{"Services are created", true, func() (err error) {
			result.Created, err = r.Create(ctx, p.Services)
			return err
		}},
		{"all addresses at once", p.Again, func() (err error) {
			result.Again, err = r.Again(ctx)
			return err
		}},
		{"addresses are announced", true, func() error {
			began := time.Now()
			err := r.Announce(ctx, 0)
			result.Announced = time.Since(began)
			return err
		}},
		{"nothing happens", true, func() error { return r.idle(ctx, p, &result) }},
		{"endpoints change", true, func() (err error) {
			result.Endpoints, err = r.Endpoints(ctx, p.Changes)
			return err
		}},
		{"heartbeats", true, func() (err error) {
			result.Heartbeats, err = r.Heartbeats(ctx, p.Changes)
			return err
		}},
		{"hosts ask for each other", true, func() (err error) {
			result.Foreign, err = r.Foreign(ctx, foreignRate, foreignLasts)
			return err
		}},
		{"a node crashes", p.Crash, func() (err error) {
			result.Crash, err = r.Crash(ctx)
			return err
		}},
		{"restarts", true, func() error { return r.restarts(ctx, &result) }},
	}
	for _, step := range steps {
		if !step.wanted {
			continue
		}
		say(step.about)
		if err := step.do(); err != nil {
			return result, fmt.Errorf("%d Services, %s: %w", p.Services, step.about, err)
		}
	}
	return result, nil
}

func (r *Rig) idle(ctx context.Context, p Plan, result *Result) (err error) {
	if err = wire.Pause(ctx, rest); err != nil {
		return err
	}
	if result.Idle, err = r.Idle(ctx, p.Idle); err != nil {
		return err
	}
	if result.Settled, err = r.Memory(); err != nil {
		return err
	}
	return r.profile(ctx)
}

func (r *Rig) restarts(ctx context.Context, result *Result) (err error) {
	if result.ControllerStarted, result.ControllerStopped, err = r.RestartController(ctx); err != nil {
		return err
	}
	if result.SpeakerReady, err = r.RestartSpeaker(ctx, 0); err != nil {
		return err
	}
	if err = wire.Pause(ctx, rest); err != nil {
		return err
	}
	if result.Restarted.Controller, err = memory(r.controller.Process.Pid); err == nil {
		result.Restarted.Speaker, err = memory(r.lab.Process(0))
	}
	return err
}
