// Package gossip keeps this node a member of the gossip while the Node's address and the cluster's keys change.
//
// A [Gossip] replaces its [membership.Membership] when the Node's address changes, and offers the same methods to the
// loop all the time. The old membership takes leave first, since the others accept a name at another address only from
// a member that left or died. Until the new membership has met the others, Members still shows those that the old one
// knew.
//
// # Keys
//
// The speakers learn of a changed Secret at different moments, and a restarted speaker knows no other keys than those
// of the Secret. Therefore a speaker
//
//   - accepts a new key as soon as it sees the key in the Secret,
//   - sends with the Secret's first key only when it has accepted that key for some seconds, in which the others have learned it too,
//   - accepts a key that has left the Secret for ten more minutes: another speaker may still send with that key.
//
// So a Secret that was deleted and made anew with another key loses no member. A speaker that starts in those seconds
// understands the others only at their end.
//
// # Concurrency
//
// Wait, Open and Run are called one after the other. All other methods may be called from any goroutine once Open has
// returned.
package gossip
