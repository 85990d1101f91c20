package session

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/lanlord/lanlord/pkg/bfd/wire"
)

// saved is a session for the next process of the node. The next process may be older or newer: fields are only ever
// added.
type saved struct {
	At            time.Duration
	Discriminator uint32
	State         wire.State
	Diagnostic    wire.Diagnostic
	Cause         wire.Diagnostic
	Since         time.Duration
	Heard         time.Duration
	Sent          time.Duration
	Stretch       uint8
	Remote        savedRemote
	Timing        savedTiming
}

type savedRemote struct {
	State         wire.State
	Diagnostic    wire.Diagnostic
	Discriminator uint32
	MinTx, MinRx  time.Duration
	Multiplier    uint8
	Demand        bool
}

type savedTiming struct {
	SaidTx, SaidRx, UsedTx, UsedRx time.Duration
	Polling                        bool
	Polls                          int
	Quiet                          time.Duration
}

// Encode returns the session for Restore in another process of the same host.
func (s *Session) Encode(now time.Duration) ([]byte, error) {
	l, r, t := s.local, s.remote, s.timing
	return json.Marshal(saved{
		At: now, Discriminator: l.discriminator, State: l.state, Diagnostic: l.diagnostic, Cause: l.cause, Since: l.since,
		Heard: s.clock.heard, Sent: s.clock.sent, Stretch: s.stretch,
		Remote: savedRemote{State: r.state, Diagnostic: r.diagnostic, Discriminator: r.discriminator, MinTx: r.minTx,
			MinRx:      r.minRx,
			Multiplier: r.multiplier, Demand: r.demand},
		Timing: savedTiming{SaidTx: t.saidTx, SaidRx: t.saidRx, UsedTx: t.usedTx, UsedRx: t.usedRx, Polling: t.polling,
			Polls: t.polls, Quiet: t.quiet},
	})
}

// Restore returns the session that Encode has encoded. A packet is due at once. A profile that differs from the encoded
// session's starts a Poll sequence. The error says which value is impossible.
func Restore(b []byte, p Profile, seed uint64, now time.Duration) (*Session, error) {
	var v saved
	if err := json.Unmarshal(b, &v); err != nil {
		return nil, fmt.Errorf("state of a BFD session: %w", err)
	}
	if err := v.check(); err != nil {
		return nil, fmt.Errorf("state of a BFD session: %w", err)
	}
	// A time that is ahead, or long ago, is of another clock.
	shift := time.Duration(0)
	if v.At > now || now-v.At > time.Minute {
		shift = now - v.At
	}
	r, t := v.Remote, v.Timing
	s := &Session{profile: p.clamped(), stretch: v.Stretch,
		random: rand.New(rand.NewPCG(seed, uint64(v.Discriminator)))}
	s.local = local{state: v.State, discriminator: v.Discriminator, diagnostic: v.Diagnostic, cause: v.Cause,
		since: v.Since + shift}
	s.remote = remote{state: r.State, diagnostic: r.Diagnostic, discriminator: r.Discriminator, minTx: r.MinTx,
		minRx:      r.MinRx,
		multiplier: r.Multiplier, demand: r.Demand}
	if r.Discriminator == 0 {
		s.remote = silent()
	}
	s.timing = timing{saidTx: t.SaidTx, saidRx: t.SaidRx, usedTx: t.UsedTx, usedRx: t.UsedRx, polling: t.Polling,
		polls: t.Polls,
		quiet: t.Quiet + shift}
	s.clock = clock{sent: v.Sent + shift, due: never, heard: v.Heard + shift}
	s.negotiate(now)
	s.pace(now)
	s.hurry(now)
	return s, nil
}

// check refuses what Encode does not write.
func (v *saved) check() error {
	if v.Discriminator == 0 {
		return fmt.Errorf("the discriminator is 0")
	}
	if int(v.State) >= wire.StateCount || int(v.Remote.State) >= wire.StateCount || v.Stretch > MaxStretch ||
		v.Timing.Polls < 0 {
		return fmt.Errorf("state %d, remote state %d, stretch %d or %d polls is out of range", v.State, v.Remote.State,
			v.Stretch,
			v.Timing.Polls)
	}
	heard := v.Remote.Discriminator != 0
	if v.State >= wire.Init && !heard || heard && v.Remote.Multiplier == 0 {
		return fmt.Errorf("state %v with remote discriminator %d and multiplier %d", v.State, v.Remote.Discriminator,
			v.Remote.Multiplier)
	}
	for _, d := range []time.Duration{v.Timing.SaidTx, v.Timing.SaidRx, v.Timing.UsedTx, v.Timing.UsedRx} {
		if d < shortest || d > longest {
			return fmt.Errorf("the interval %v is out of range", d)
		}
	}
	for _, d := range []time.Duration{v.Remote.MinTx, v.Remote.MinRx} {
		if d < 0 || d > math.MaxUint32*time.Microsecond {
			return fmt.Errorf("the remote interval %v is out of range", d)
		}
	}
	const latest = math.MaxInt64 / 4 * time.Nanosecond
	for _, d := range []time.Duration{v.At, v.Since, v.Heard, v.Sent, v.Timing.Quiet} {
		if d < 0 || d > latest {
			return fmt.Errorf("the time %v is out of range", d)
		}
	}
	if max(v.Since, v.Heard, v.Sent) > v.At {
		return fmt.Errorf("an event is later than the encoding")
	}
	return nil
}
