// Package rehearsal lists the changes that a configuration, or the loss of a node, would make in a cluster.
package rehearsal
