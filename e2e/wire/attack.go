package wire

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Attack is something that a hostile host on the LAN, or in the network of the gossip, does for a while. It reaches nobody but what the
// laboratory has made.
type Attack struct {
	// Name is one word; About says what the host sends.
	Name, About string
	// Misleads says that hosts believe the attacker, whatever the owner does: they are not asked before it is over.
	Misleads bool
	// Gossip says that it goes to the speakers' gossip ports.
	Gossip bool
	// answered says that most of the frames are questions that the owner answers.
	answered bool
	// frames are what is sent on the LAN, again and again; act is what is done instead.
	frames func(*attacker) [][]byte
	act    func(*attacker, context.Context, int) (sent int, err error)
}

// Attacks returns all attacks.
func Attacks() []Attack {
	return []Attack{
		{Name: "outside", About: "asks for addresses outside the pools", frames: (*attacker).outside},
		{Name: "unused", About: "asks for addresses of the pools that nobody has", frames: (*attacker).unused},
		{Name: "requests", About: "asks for addresses that the owner answers for, in every allowed way", answered: true, frames: (*attacker).requests},
		{Name: "arp", About: "malformed ARP: cut short, of other types and lengths, tagged, from and to groups", frames: (*attacker).oddARP},
		{Name: "ndp", About: "malformed NDP: hop limit, checksum, options, sources, targets, lengths", frames: (*attacker).oddNDP},
		{Name: "ping", About: "echo requests: sound, of wrong checksums, fragments, with options, from sources that nobody may answer to",
			frames: (*attacker).pings},
		{Name: "own", About: "claims of the owner's addresses with its own MAC address", frames: (*attacker).claimsAsOwner},
		{Name: "claims", About: "claims of all addresses with 64 MAC addresses that are no node's, in every form", Misleads: true,
			frames: (*attacker).claims},
		{Name: "rogue", About: "answers every question for every address", Misleads: true, act: (*attacker).answerAll},
		{Name: "nonsense", About: "datagrams of chance and of another key, and streams of both, to the gossip ports", Gossip: true,
			act: (*attacker).nonsense},
		{Name: "replay", About: "what the speakers say to each other, whole, changed and cut short, to the gossip ports", Gossip: true,
			act: (*attacker).replay},
	}
}

// Damage is what an attack did.
type Damage struct {
	Attack string
	// Lasted is how long it went on; Frames are the frames, datagrams and streams that were sent.
	Lasted time.Duration
	Frames int
	// User and System are the CPU time for each second of the speaker that owned what was attacked; Bare is that of a process on the same
	// node that reads the same frames with one system call each, answers if the speaker has to, and does nothing else.
	User, System, Bare time.Duration
	// Asked is how many questions for an address were asked meanwhile, and Missing how many of them its owner did not answer.
	Asked, Missing int
	// Gap is the longest time in which a client that forgets its neighbour before each ping had no answer, Lost how many of the Sent were
	// never answered. Not counted where hosts are misled.
	Gap        time.Duration
	Sent, Lost int
	// Back is how long after the end a host that was misled reaches the owner again.
	Back time.Duration
	// Moved are the addresses that have another owner at the end, Changes the changes of ownership that speakers counted.
	Moved   []netip.Addr
	Changes float64
	// Counted are the other counters of all speakers that have grown, by how much.
	Counted map[string]float64
}

// String is for people who read logs.
func (d Damage) String() string {
	percent := func(t time.Duration) float64 { return t.Seconds() * 100 }
	var counted strings.Builder
	for _, name := range sortedKeys(d.Counted) {
		fmt.Fprintf(&counted, "\n\t%8.0f %s", d.Counted[name], name)
	}
	return fmt.Sprintf("%s: %d frames in %v; CPU %.1f %% of a core (user %.1f, system %.1f), bare %.1f; %d of %d questions without the owner's answer; "+
		"client's gap %v, %d of %d pings lost; back after %v; %v moved, %.0f changes%s", d.Attack, d.Frames, d.Lasted.Round(time.Millisecond),
		percent(d.User+d.System), percent(d.User), percent(d.System), percent(d.Bare), d.Missing, d.Asked, d.Gap.Round(time.Millisecond),
		d.Lost, d.Sent, d.Back.Round(time.Millisecond), d.Moved, d.Changes, counted.String())
}

// backLimit is how long hosts may be misled after an attack is over: a defence is due every 10 s.
const backLimit = 20 * time.Second

// Suffer has a host do an attack, so many frames a second for so long, to a cluster at rest, and brings it back to rest.
func (l *Lab) Suffer(ctx context.Context, a Attack, rate int, lasts time.Duration) (d Damage, err error) {
	d.Attack = a.Name
	before, err := l.Settle(ctx)
	if err != nil {
		return d, err
	}
	victim := l.nodeOf(before[l.addrs[0]])
	if victim == nil {
		return d, fmt.Errorf("%s is owned by %s, which is no node", l.addrs[0], before[l.addrs[0]])
	}
	host, err := newAttacker(l, victim, before)
	if err != nil {
		return d, err
	}
	defer host.close()
	counters, err := l.counters(ctx)
	if err != nil {
		return d, err
	}
	if err := l.endure(ctx, a, host, rate, lasts, &d); err != nil {
		return d, fmt.Errorf("%s: %w", a.Name, err)
	}
	if a.Misleads {
		if d.Back, err = l.findBack(ctx, l.addrs[0]); err != nil {
			return d, fmt.Errorf("after %s: %w", a.Name, err)
		}
	}
	after, err := l.Settle(ctx)
	if err != nil {
		return d, fmt.Errorf("after %s: %w", a.Name, err)
	}
	for _, addr := range l.addrs {
		if after[addr] != before[addr] {
			d.Moved = append(d.Moved, addr)
		}
	}
	grown, err := l.counters(ctx)
	d.Counted = map[string]float64{}
	for name, value := range grown {
		more := value - counters[name]
		switch {
		case more <= 0:
		case strings.HasPrefix(name, ownershipChanges):
			d.Changes += more
		default:
			d.Counted[name] = more
		}
	}
	return d, err
}

// Cost is CPU time for one frame: User in the speaker, System in the kernel on its behalf.
type Cost struct{ User, System time.Duration }

// Foreign measures what the frames of hosts that ask for each other cost a speaker, beyond what it takes anyway: for addresses that
// nobody has, in the pools if inside is true. Nothing else may happen meanwhile, for twice as long as it lasts.
func (l *Lab) Foreign(ctx context.Context, inside bool, rate int, lasts time.Duration) (c Cost, err error) {
	attack := Attack{frames: (*attacker).outside}
	if inside {
		attack.frames = (*attacker).unused
	}
	host, err := newAttacker(l, l.nodes[0], nil)
	if err != nil {
		return c, err
	}
	defer host.close()
	began := [2]Cost{}
	began[0].User, began[0].System = host.victim.cpuTime()
	if err := Pause(ctx, lasts); err != nil {
		return c, err
	}
	began[1].User, began[1].System = host.victim.cpuTime()
	during, stop := context.WithTimeout(ctx, lasts)
	defer stop()
	frames, err := host.attack(during, attack, rate)
	if err != nil {
		return c, err
	}
	if frames == 0 {
		return c, errors.New("no frame was sent")
	}
	user, system := host.victim.cpuTime()
	beyond := func(first, second, last time.Duration) time.Duration {
		return max(0, (last-second)-(second-first)) / time.Duration(frames)
	}
	return Cost{beyond(began[0].User, began[1].User, user), beyond(began[0].System, began[1].System, system)}, ctx.Err()
}

// endure lets the attack happen, and judges meanwhile.
func (l *Lab) endure(ctx context.Context, a Attack, host *attacker, rate int, lasts time.Duration, d *Damage) error {
	bare, err := newBareReader(host.victim, host.mac, a.answered)
	if err != nil {
		return err
	}
	defer bare.close()
	l.sniffer.claims.Take()
	during, stop := context.WithTimeout(ctx, lasts)
	defer stop()
	start := time.Now()
	user, system := host.victim.cpuTime()
	var tasks sync.WaitGroup
	var failures [3]error
	var pings *stream
	tasks.Go(func() { d.Frames, failures[0] = host.attack(during, a, rate) })
	tasks.Go(func() { d.Asked, d.Missing, failures[1] = l.askMeanwhile(during, host.owners) })
	if !a.Misleads {
		tasks.Go(func() { pings, failures[2] = l.empties.talk(during, l.addrs[0], func() {}) })
	}
	tasks.Wait()
	d.Lasted = time.Since(start)
	d.User, d.System = host.victim.cpuTime()
	perSecond := func(t time.Duration) time.Duration { return time.Duration(float64(t) / d.Lasted.Seconds()) }
	d.User, d.System, d.Bare = perSecond(d.User-user), perSecond(d.System-system), perSecond(bare.close())
	if pings != nil {
		d.Gap, d.Sent, d.Lost = pings.gap(start), len(pings.sent), pings.lost()
	}
	return errors.Join(failures[:]...)
}

// findBack returns how long it takes until the client that keeps its neighbour table is answered.
func (l *Lab) findBack(ctx context.Context, addr netip.Addr) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, backLimit)
	defer cancel()
	start, answered := time.Now(), false
	_, err := l.cached.talk(ctx, addr, func() { answered = true; cancel() })
	if err == nil && !answered {
		err = fmt.Errorf("a client does not reach the owner of %s within %v", addr, backLimit)
	}
	return time.Since(start), err
}

// askMeanwhile asks for all addresses again and again, and counts the questions that their owners did not answer in the end.
func (l *Lab) askMeanwhile(ctx context.Context, owners map[netip.Addr]MAC) (asked, missing int, err error) {
	for ctx.Err() == nil {
		claimed, err := l.survey(ctx)
		if ctx.Err() != nil {
			return asked, missing, nil
		}
		if err != nil {
			return asked, missing, err
		}
		for addr, mac := range owners {
			asked++
			if !slices.Contains(claimed[addr], mac) {
				missing++
			}
		}
		l.sniffer.claims.Take()
	}
	return asked, missing, nil
}
