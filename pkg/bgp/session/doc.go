// Package session is the state machine of a BGP session with one router that routes are announced to.
package session

// Notes for callers on what differs from other state machines:
//
//   - Each Send is answered by one Written event, after all of its bytes are in the kernel. Until then Step returns no
//     other Send, except one NOTIFICATION directly before Close. So a slow router holds at most SendSize bytes.
//   - Dial is answered by one Connected or DialFailed. Close needs no answer: events of a connection that was closed by
//     Close must not be passed to Step any more. When Close comes while a dial is in progress, the dial is to be given up.
//   - After Closed and DialFailed the session asks for Dial again, when its backoff is over.
