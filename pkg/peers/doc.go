// Package peers tracks which peers are reachable, suspected or gone, and how far each peer has seen the cluster.
//
// The goroutine of the speaker's loop owns the Table and calls its methods. A View is an immutable snapshot of the
// Table; the packages above read only Views. Detector exchanges heartbeats with the neighbours, and asks the
// neighbours on the wire; another detector can take its place, because a Detector only reports Suspicions.
package peers
