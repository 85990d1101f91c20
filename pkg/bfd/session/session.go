package session

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/lanlord/lanlord/pkg/bfd/wire"
)

// Session is the state machine of one session (RFC 5880, section 6.8) in asynchronous mode, without echo, demand mode
// and authentication.
//
// All times are readings of one monotonic clock. The caller calls Receive for each packet that wire.Parse accepts and
// that belongs to the session, and Advance at Deadline. A Session is not safe for concurrent use. Receive, Advance and
// Deadline allocate nothing.
type Session struct {
	profile Profile
	local   local
	remote  remote
	timing  timing
	clock   clock
	// stretch counts the doublings of both intervals.
	stretch uint8
	random  *rand.Rand
}

// local is the state of this end.
type local struct {
	state         wire.State
	discriminator uint32
	// diagnostic goes into the packets. cause is the diagnostic of the last Down.
	diagnostic, cause wire.Diagnostic
	since             time.Duration
}

// remote holds the values of the peer's last packet.
type remote struct {
	state      wire.State
	diagnostic wire.Diagnostic
	// discriminator is 0 while the peer is silent.
	discriminator uint32
	minTx, minRx  time.Duration
	multiplier    uint8
	demand        bool
}

// clock holds the times of the session.
type clock struct {
	// sent is the time of the last transmission other than the reply to a poll. due is the time of the next, or never.
	sent, due time.Duration
	// paced is the transmit interval behind due, 0 for none.
	paced time.Duration
	// heard is the time of the last packet of the peer. grace delays the expiry after a stall of this process.
	heard, grace time.Duration
}

const never = time.Duration(math.MaxInt64)

// silent is the peer before its first packet and after a detection time without packets (RFC 5880, section 6.8.1).
func silent() remote { return remote{state: wire.Down, minRx: time.Microsecond} }

// New returns a session in state Down. Values of p out of range become the nearest value in range. discriminator is not
// 0 and unique among the sessions of this system. seed is random.
func New(p Profile, discriminator uint32, seed uint64, now time.Duration) *Session {
	s := &Session{profile: p.clamped(), remote: silent(), random: rand.New(rand.NewPCG(seed, uint64(discriminator)))}
	s.local = local{state: wire.Down, discriminator: discriminator, since: now}
	s.clock = clock{sent: now, due: never, heard: now}
	s.negotiate(now)
	s.pace(now)
	return s
}

// Discriminator returns the local discriminator.
func (s *Session) Discriminator() uint32 { return s.local.discriminator }

// State returns the state of this end.
func (s *Session) State() wire.State { return s.local.state }

// View is a session as people see it.
type View struct {
	State wire.State
	// Since is the time of the last change of State.
	Since time.Duration
	// Diagnostic is the reason of the last Down of this end.
	Diagnostic wire.Diagnostic
	// RemoteState and RemoteDiagnostic come from the peer's last packet. A silent peer is Down.
	RemoteState      wire.State
	RemoteDiagnostic wire.Diagnostic
	// TransmitInterval is the interval in force before jitter, 0 when nothing is sent.
	TransmitInterval time.Duration
	// DetectionTime is the time without packets after which the session goes down, 0 while the peer is silent.
	DetectionTime time.Duration
}

// View returns the session as people see it.
func (s *Session) View() View {
	return View{
		State: s.local.state, Since: s.local.since, Diagnostic: s.local.cause,
		RemoteState: s.remote.state, RemoteDiagnostic: s.remote.diagnostic,
		TransmitInterval: s.interval(), DetectionTime: s.detection(),
	}
}

// Deadline returns the time at which Advance has something to do, at most 292 years ahead.
func (s *Session) Deadline() time.Duration {
	return min(s.clock.due, s.expiry(), s.pollDeadline())
}

// Advance does what is due at now, and returns true with a packet that is to be sent. The caller calls Receive first
// for all packets that waited in the socket at now: Advance judges the peer by them.
func (s *Session) Advance(now time.Duration) (wire.Packet, bool) {
	if now >= s.expiry() {
		s.expire(now)
	}
	s.negotiate(now)
	s.pace(now)
	if now < s.clock.due {
		return wire.Packet{}, false
	}
	s.clock.sent = now
	s.clock.due = now + s.jitter(s.clock.paced)
	return s.packet(false), true
}

// expire handles a detection time without packets (RFC 5880, section 6.8.4). A call that comes later than half an
// interval of the peer shows a stall of this process: the peer then has one more interval, because the kernel may not
// have delivered the packets of the stall either.
func (s *Session) expire(now time.Duration) {
	interval := s.receiveInterval()
	if s.clock.grace == 0 && now-s.expiry() > interval/2 {
		s.clock.grace = now + interval
		return
	}
	s.remote = silent()
	if s.local.state == wire.Init || s.local.state == wire.Up {
		s.enter(wire.Down, wire.DetectionTimeExpired, now)
	}
}

// next holds the transitions for a packet (RFC 5880, section 6.8.6), by the state of this end and the state in the
// packet.
var next = [wire.StateCount][wire.StateCount]wire.State{
	wire.AdminDown: {wire.AdminDown, wire.AdminDown, wire.AdminDown, wire.AdminDown},
	wire.Down:      {wire.AdminDown: wire.Down, wire.Down: wire.Init, wire.Init: wire.Up, wire.Up: wire.Down},
	wire.Init:      {wire.AdminDown: wire.Down, wire.Down: wire.Init, wire.Init: wire.Up, wire.Up: wire.Up},
	wire.Up:        {wire.AdminDown: wire.Down, wire.Down: wire.Down, wire.Init: wire.Up, wire.Up: wire.Up},
}

// Receive handles a packet of the peer from the selection of the session on (RFC 5880, section 6.8.6), and returns true
// with a reply that is to be sent. The verdict is Accepted or Authenticated.
func (s *Session) Receive(now time.Duration, p *wire.Packet) (wire.Packet, bool, wire.Verdict) {
	if p.Authenticated {
		return wire.Packet{}, false, wire.Authenticated
	}
	s.clock.heard, s.clock.grace = now, 0
	s.remote = remote{state: p.State, diagnostic: p.Diagnostic, discriminator: p.MyDiscriminator, minTx: p.DesiredMinTx,
		minRx: p.RequiredMinRx, multiplier: p.Multiplier, demand: p.Demand}
	if p.Final {
		s.final(now)
	}
	if to := next[s.local.state][p.State]; to != s.local.state {
		diagnostic := s.local.diagnostic
		switch to {
		case wire.Down:
			diagnostic = wire.NeighborSignaledDown
		case wire.Up:
			diagnostic = wire.NoDiagnostic
		}
		s.enter(to, diagnostic, now)
	}
	s.negotiate(now)
	s.pace(now)
	if !p.Poll || s.local.state == wire.AdminDown {
		return wire.Packet{}, false, wire.Accepted
	}
	return s.packet(true), true, wire.Accepted
}

// enter changes the state of this end. The next packet is due at once, because its contents differ (RFC 5880, section
// 6.8.7).
func (s *Session) enter(state wire.State, diagnostic wire.Diagnostic, now time.Duration) {
	s.local.state, s.local.diagnostic, s.local.since = state, diagnostic, now
	if state <= wire.Down {
		s.local.cause = diagnostic
	}
	s.hurry(now)
}

// Configure changes the profile without a reset: a Poll sequence tells the peer when the session is Up.
func (s *Session) Configure(p Profile, now time.Duration) {
	p = p.clamped()
	if p.DetectMultiplier != s.profile.DetectMultiplier {
		s.hurry(now)
	}
	s.profile = p
	s.negotiate(now)
	s.pace(now)
}

// Stretch doubles both intervals of the profile n times, 0 to MaxStretch, but not beyond 1 s. The intervals change by a
// Poll sequence: the peer's detection time grows before this end sends less often, and this end waits longer for a peer
// whose packets the busy kernel delivers late.
func (s *Session) Stretch(n uint8, now time.Duration) {
	s.stretch = min(n, MaxStretch)
	s.negotiate(now)
	s.pace(now)
}

// Stretched returns the argument of the last call of Stretch.
func (s *Session) Stretched() uint8 { return s.stretch }

// Stop takes the session to AdminDown, and returns true with the packet that tells the peer. A passive session that has
// heard nothing sends nothing.
func (s *Session) Stop(now time.Duration) (wire.Packet, bool) {
	s.enter(wire.AdminDown, wire.AdministrativelyDown, now)
	s.negotiate(now)
	s.pace(now)
	if s.waiting() {
		return wire.Packet{}, false
	}
	s.clock.sent, s.clock.due = now, now+s.jitter(slow)
	return s.packet(false), true
}

// packet returns the packet that this end sends now (RFC 5880, section 6.8.7).
func (s *Session) packet(final bool) wire.Packet {
	if !final && s.timing.polling {
		s.timing.polls++
	}
	return wire.Packet{
		Diagnostic: s.local.diagnostic, State: s.local.state, Poll: s.timing.polling && !final, Final: final,
		Multiplier: s.profile.DetectMultiplier, MyDiscriminator: s.local.discriminator, YourDiscriminator: s.remote.discriminator,
		DesiredMinTx: s.timing.saidTx, RequiredMinRx: s.timing.saidRx,
	}
}
