// Package speaker decides what this node announces and why, and applies it.
//
// Decide is a pure function that every node computes alike, from the cluster and the ready members alone. Speaker is the
// loop around it: whoever has news sends a wake-up, and the loop decides anew from a fresh snapshot and hands the
// announcer the whole set of addresses. One goroutine, Run's, owns all of its state; Heard and Status may be called from
// any goroutine and never block.
//
// An address that the election gives to another node is not dropped but yielded: this node goes on answering until it
// hears the new owner announce the address, or until a bound has passed. The same holds for all addresses of a speaker
// that was told to stop, so that a polite leave leaves no address dark.
package speaker
