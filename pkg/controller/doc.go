// Package controller assigns addresses to Services, and has the assignments written.
//
// Decide is a function of values. Controller runs a loop around Decide: after a wake-up, the loop takes a snapshot,
// decides everything again, writes the differences, and sleeps. One goroutine owns the state of the loop. Only the
// writes run in parallel, with at most one write per Service. Until the result of a write is known, no other Service
// gets the addresses of the write, except to share them. The loop publishes its results for other goroutines as
// immutable values.
package controller
