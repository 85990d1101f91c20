// Package bfd tells within milliseconds whether a neighbour still forwards packets (RFC 5880, 5881, 5882, 5883).
//
// # Concurrency
//
// One goroutine, that of Run, owns all sessions and sockets. Run locks its goroutine to a thread, waits for the kernel
// on that thread, and takes no lock that others hold. Set, Status and Detach may be called from any goroutine: they
// pass values through atomic pointers and a wake-up.
//
// # A process that is late
//
// On a busy machine the thread runs late, and a peer that hears nothing for its detection time takes the routes away.
// The loop therefore measures how late its timers fire and how long packets wait to be read. When that comes near the
// interval of a session, the session slows down in both directions: a Poll sequence tells the peer first, so that the
// peer waits longer. The session returns to the interval of its profile step by step when the process has been on time
// for a while. A process that was late itself reads all waiting packets before it judges a peer, and gives the peer one
// more interval.
package bfd
