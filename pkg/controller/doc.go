// Package controller decides which Service gets which address, and has it written.
//
// Decide is a function of values. Controller is the loop around it: woken, it takes a snapshot, decides everything anew,
// writes what differs, and sleeps. One goroutine owns all its state; only the writes run in parallel, at most one for
// each Service, and what they may have given is nobody else's until their result is known. What others read of the loop is
// published as a whole.
package controller
