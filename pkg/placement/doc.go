// Package placement decides which node should announce each address, and why the other nodes should not.
//
// Decide is pure. From the same cluster and the same ready members, in any order, every node computes the same
// placements. Decide names the node that should announce an address; the current owner keeps the address while eligible
// (see pkg/ownership).
package placement
