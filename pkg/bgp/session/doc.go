// Package session is the state machine of a BGP session with one router that routes are announced to.
package session

// Notes for callers on what differs from other state machines:
//
//   - Answer each Send with one Written, after the kernel has all of its bytes. Until then Step returns no other Send,
//     except one NOTIFICATION directly before Close. So a slow router holds at most SendSize bytes.
//   - Answer Dial with one Connected or DialFailed. Close needs no answer: pass no events of a closed connection, and
//     give up a dial in progress.
//   - After Closed and DialFailed the session asks for Dial again, when its backoff is over.
//   - Save fails while a Send is unanswered. Try again after the next Written.
