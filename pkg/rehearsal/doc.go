// Package rehearsal lists the changes that a configuration would make in a cluster, and changes nothing.
package rehearsal
