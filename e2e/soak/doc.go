// Package soak lets a cluster of real speakers and real controllers live under random faults, and
// judges it from outside: by the frames on the LAN, by what is written to the API server, and by what the processes use.
//
// Where it does so is a [Site]: network namespaces here, a kind cluster in package kindsoak.
// A [Schedule] of faults is a function of its seed alone. A [Judge] holds what is seen to the bounds of the faults that were
// happening, a [Ledger] what is written to the rules of allocation. What they find goes into a [Report].
package soak
