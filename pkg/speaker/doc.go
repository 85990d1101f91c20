// Package speaker decides what this node announces and why, and applies it.
//
// Decide is a pure function that every node computes alike, from the cluster and the ready members alone: it names the node that
// should have each address. Speaker is the loop around it: whoever has news sends a wake-up, and the loop decides anew from a
// fresh snapshot and hands the announcer the whole set of addresses. One goroutine, Run's, owns all of its state; Heard, Suspected
// and Status may be called from any goroutine and never block.
//
// Who has an address is on the wire. A node that should have one pursues it: it probes the address, and one rule (judge in
// pursue.go) says when it takes it. A node that has one keeps it as long as it may, whomever Decide names (hold.go); one that may not any
// more goes on answering until it hears its successor announce the address, or until a bound has passed. Claims of others are
// judged by rank (hold.go), those of hosts that are no node are told of (stranger.go). The neighbours in a ring of all
// members are watched (ring.go), so that a crash is known within about a third of a second; what that says, and gossip, is in
// the roll of members (roll.go).
package speaker
