// Package membership turns memberlist into a sorted, immutable list of the living nodes and their reports.
//
// Any goroutine may call Members, Unreached and SetState at any time, and none of these methods blocks. memberlist
// calls its delegates while memberlist holds its own lock, so a delegate only replaces the published list and wakes
// waiting goroutines; only the goroutines of Run act. No other part of memberlist is visible outside.
package membership
