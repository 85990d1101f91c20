// Package session is the state machine of one BFD session: packets and a time in, packets, deadlines and states out.
package session
