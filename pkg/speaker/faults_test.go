package speaker

import (
	"net/netip"
	"time"
)

// The bounds that the speakers promise, each counted from the fault.
const (
	// failoverBound is for a crash that a neighbour detects: crashBound, plus the interval of the client's questions.
	failoverBound = crashBound + askInterval
	// moveBound is for a planned move, in which the address is always answered for.
	moveBound = 600 * time.Millisecond
	// failbackBound is the latest time, after the failback delay, for taking an address back.
	failbackBound = lastLook + 300*time.Millisecond
	// partingBound is for a segment that is parted, and for a crash without a neighbour that detects it.
	partingBound = 2500 * time.Millisecond
	// startBound is for nodes that start at once and do not know each other.
	startBound = 1500 * time.Millisecond
	// healBound is for a segment that is whole again. Two owners hear each other, but each reads only one claim a
	// second. A suspected owner is believed with its third claim or its third answer: 2 s after the first, which
	// follows the next probe of the lost member. Nearly all addresses have one owner after 1.3 s.
	healBound = 2*time.Second + lostInterval + watchCount*watchPause
)

// faults lists the possible faults. Each fault heals its damage and waits until nothing moves.
var faults = []func(*history){
	(*history).crashes, (*history).crashes, (*history).leaves, (*history).losesGossip, (*history).losesAPI, (*history).parts, (*history).isCutOff,
	(*history).isHalfDeaf, (*history).isPoorlyLinked, (*history).losesCarrier, (*history).changesService, (*history).changesNode,
	(*history).prefers, (*history).crashesUnseen, (*history).standsStill, (*history).lacksWord, (*history).isOutdated,
	(*history).lacksConfiguration, (*history).sawNoDeletion, (*history).neverMeets, (*history).hasManyLinks, (*history).hasInKernel,
}

// lasting returns how long a fault lasts.
func (h *history) lasting() time.Duration {
	return 1500*time.Millisecond + time.Duration(h.random.IntN(4000))*time.Millisecond
}

func (h *history) rest() { h.pass(h.settling()) }

// all excuses a failure of several addresses.
func (h *history) all(f failure, addrs []netip.Addr, d time.Duration) {
	for _, a := range addrs {
		h.excuse(f, a, d)
	}
}

// crashes stops a node, or its speaker alone, without a message to the others, and starts the node again.
func (h *history) crashes() {
	p, owned := h.someone()
	whole := h.random.IntN(2) == 0
	h.note("%s crashes, the whole node %t; it has %v", p.name, whole, owned)
	h.all(unanswered, owned, failoverBound)
	h.all(moved, owned, failoverBound+askInterval)
	if whole {
		p.crash()
	} else {
		p.die()
	}
	h.pass(h.lasting())
	h.note("%s is back", p.name)
	if whole {
		h.lan.Cut(p.name+"/eth0", false)
	}
	h.boot(p)
	h.rest()
}

// boot starts a speaker again.
func (h *history) boot(p *testNode) {
	h.excuseFailback()
	p.boot()
}

// crashesUnseen takes a node away that gossip or the API server has lost before.
func (h *history) crashesUnseen() {
	p, owned := h.someone()
	bound := failoverBound
	if h.random.IntN(2) == 0 {
		names := h.some()
		h.note("gossip parts %v", names)
		h.split(names...)
		bound = partingBound
	} else {
		names := h.some()
		h.note("without the API: %v", names)
		h.strand(names...)
	}
	h.pass(h.lasting())
	h.note("%s crashes; it has %v", p.name, owned)
	h.all(unanswered, owned, bound)
	h.all(moved, owned, bound+askInterval)
	p.crash()
	h.pass(max(h.lasting(), bound))
	h.note("gossip and API are whole")
	h.excuse(moved, netip.Addr{}, healBound)
	h.excuseFailback()
	h.split()
	h.strand()
	h.pass(h.lasting())
	h.note("%s is back", p.name)
	h.lan.Cut(p.name+"/eth0", false)
	h.boot(p)
	h.rest()
}

// leaves stops a speaker politely and starts it again.
func (h *history) leaves() {
	p, owned := h.someone()
	h.note("%s leaves; it has %v", p.name, owned)
	h.all(moved, owned, moveBound)
	p.leave()
	h.pass(leaveBound + time.Duration(h.random.IntN(1000))*time.Millisecond)
	<-p.done
	h.note("%s is back", p.name)
	h.boot(p)
	h.rest()
}

// losesGossip cuts gossip alone. Nothing moves.
func (h *history) losesGossip() {
	names := h.some()
	h.note("gossip parts %v", names)
	h.split(names...)
	h.pass(h.lasting())
	h.note("gossip is whole")
	h.split()
	h.rest()
}

// losesAPI cuts nodes off from the API server alone. Nothing moves.
func (h *history) losesAPI() {
	names := h.some()
	h.note("without the API: %v", names)
	h.strand(names...)
	h.pass(h.lasting())
	h.note("with the API again")
	h.strand()
	h.rest()
}

// parts cuts the segment in two, with or without the gossip. Each side has one owner, and so does the whole again.
func (h *history) parts() {
	names := h.some()
	gossip := h.random.IntN(2) == 0
	h.note("segment parts %v, gossip too %t", names, gossip)
	for f := range failures {
		h.excuse(f, netip.Addr{}, partingBound)
	}
	ends := []string{"far"}
	for _, name := range names {
		ends = append(ends, name+"/eth0")
	}
	h.lan.Partition(ends...)
	lasting := partingBound + h.lasting()
	if gossip {
		h.split(names...)
	} else {
		// A node that hears nobody on the wire, and every node by gossip, assumes that the node itself is cut off. A
		// node without addresses cannot be asked on the wire (see TestPartedNeighbours). An unanswered address has
		// another owner when it is answered again.
		h.excuse(unanswered, netip.Addr{}, lasting)
		h.excuse(moved, netip.Addr{}, lasting)
		// Suspicions travel by gossip between the parts, so nodes of one part suspect each other.
		h.excuse(doubled, netip.Addr{}, disputeWindow)
	}
	h.parted = true
	h.pass(lasting)
	h.parted = false
	h.note("segment is whole")
	h.excuseHealing()
	h.lan.Heal()
	h.split()
	h.rest()
}

// excuseHealing excuses the effects of a segment that is whole again.
func (h *history) excuseHealing() {
	for _, f := range []failure{doubled, moved, boasted} {
		h.excuse(f, netip.Addr{}, healBound)
	}
	h.excuseFailback()
}

// isCutOff cuts the link of a node, with or without its gossip.
func (h *history) isCutOff() {
	p, owned := h.someone()
	gossip := h.random.IntN(2) == 0
	h.note("%s is cut off, gossip too %t; it has %v", p.name, gossip, owned)
	h.all(unanswered, owned, failoverBound)
	h.all(moved, owned, failoverBound+askInterval)
	h.lan.Cut(p.name+"/eth0", true)
	if gossip {
		h.split(p.name)
	}
	h.pass(h.lasting())
	h.note("%s is linked", p.name)
	h.excuseHealing()
	h.lan.Cut(p.name+"/eth0", false)
	h.split()
	h.rest()
}

// standsStill freezes the frames and the gossip of a node, and then lets both pass. Meanwhile the speaker runs, and
// takes all addresses of the others. Afterwards the speaker reads the delayed frames. Two nodes never answer.
func (h *history) standsStill() {
	p, owned := h.someone()
	h.note("%s stands still; it has %v", p.name, owned)
	h.all(unanswered, owned, failoverBound)
	h.all(moved, owned, failoverBound+askInterval)
	p.nic.Freeze(true)
	h.split(p.name)
	h.pass(h.lasting())
	h.note("%s goes on", p.name)
	h.excuseFailback()
	h.split()
	p.nic.Freeze(false)
	h.rest()
}

// isHalfDeaf interrupts one direction of a node's link.
func (h *history) isHalfDeaf() {
	p, owned := h.someone()
	interrupt, what, bound := h.lan.Mute, "mute", failoverBound
	lasting := h.lasting()
	if h.random.IntN(2) == 0 {
		interrupt, what = h.lan.Deafen, "deaf"
		// The node goes on announcing for a while, and the owner contradicts. One such announcement passes for an
		// answer.
		for f := range failures {
			h.excuse(f, netip.Addr{}, lasting)
		}
		bound += watchInterval + watchCount*watchPause
	}
	h.note("%s is %s; it has %v", p.name, what, owned)
	h.all(unanswered, owned, bound)
	h.all(moved, owned, bound+askInterval)
	interrupt(p.name+"/eth0", true)
	h.pass(lasting)
	h.note("%s is not %s", p.name, what)
	h.excuseHealing()
	interrupt(p.name+"/eth0", false)
	h.rest()
}

// isPoorlyLinked loses, delays or doubles frames of a node.
func (h *history) isPoorlyLinked() {
	p, owned := h.someone()
	end := p.name + "/eth0"
	lasting := h.lasting()
	switch h.random.IntN(3) {
	case 0:
		part := float64(1+h.random.IntN(3)) / 10
		h.note("%s loses %v of the frames; it has %v", p.name, part, owned)
		h.excuse(unanswered, netip.Addr{}, lasting)
		h.excuse(moved, netip.Addr{}, lasting+healBound)
		h.excuse(doubled, netip.Addr{}, lasting+healBound)
		h.excuse(boasted, netip.Addr{}, lasting+healBound)
		h.lan.Lose(end, part)
	case 1:
		h.note("%s is slow; it has %v", p.name, owned)
		h.lan.Delay(end, time.Duration(h.random.IntN(8))*time.Millisecond, time.Duration(h.random.IntN(8))*time.Millisecond)
	default:
		h.note("%s hears and says things twice; it has %v", p.name, owned)
		h.lan.Duplicate(end, 0.5)
	}
	h.pass(lasting)
	h.note("%s is well linked", p.name)
	h.excuseFailback()
	h.lan.Lose(end, 0)
	h.lan.Delay(end, 0, 0)
	h.lan.Duplicate(end, 0)
	h.rest()
}

// losesCarrier takes the carrier from a node.
func (h *history) losesCarrier() {
	p, owned := h.someone()
	h.note("%s is without carrier; it has %v", p.name, owned)
	h.all(unanswered, owned, failoverBound)
	h.all(moved, owned, failoverBound+askInterval)
	p.nic.SetUp(false)
	h.pass(h.lasting())
	h.note("%s has its carrier", p.name)
	h.excuseHealing()
	p.nic.SetUp(true)
	h.rest()
}
