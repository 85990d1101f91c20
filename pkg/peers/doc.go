// Package peers tracks which peers are reachable, suspected or gone, and what each has seen of the cluster.
//
// Table belongs to the loop of the speaker: one goroutine calls its methods. View is what the Table knows at one moment. A View is
// immutable, and is all that the packages above read. Detector watches the neighbours on the wire; another detector can take its
// place, because it only reports Suspicions.
package peers
