// Package fault is the catalogue of the faults that the tests cause, with what clients may notice of each. Package wire
// causes some of them one at a time, package soak at random in network namespaces, and package kindsoak at random on a kind
// cluster.
package fault
