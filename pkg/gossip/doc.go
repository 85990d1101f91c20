// Package gossip keeps this node a member of the gossip while the Node's address and the cluster's keys change.
//
// A [Gossip] replaces its [membership.Membership] when the Node's address changes, and offers the same methods to the
// loop all the time. The old membership leaves first, because the other nodes accept a name at another address only
// after the member has left or died. Until the new membership has met the other nodes, Members still includes the
// members of the old membership.
//
// # Keys
//
// The speakers learn of a changed Secret at different moments, and a restarted speaker knows only the keys in the
// Secret. Therefore a speaker
//
//   - accepts a new key as soon as the key is in the Secret,
//   - sends with the Secret's first key some seconds after accepting the key, when the other speakers accept it too,
//   - accepts a key for ten more minutes after its removal from the Secret: another speaker may still send with it.
//
// So deleting the Secret and creating another key loses no member. A speaker that starts during the change understands
// the other speakers only some seconds later.
//
// # Concurrency
//
// The caller calls Wait, Open and Run one after the other. After Open has returned, any goroutine may call the other
// methods.
package gossip
