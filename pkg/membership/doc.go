// Package membership turns memberlist into a sorted, immutable list of the nodes that are alive and what each says of
// itself.
//
// Members may be called from any goroutine at any time and never blocks; neither does SetState. memberlist calls its
// delegates while it holds its own lock, so a delegate only replaces the published list and wakes whoever waits; the
// goroutines that act are those of Run. Nothing else of memberlist is visible outside.
package membership
