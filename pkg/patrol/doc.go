// Package patrol spreads the probes of the paths to addresses over the nodes and over time, and keeps the last result for
// each address. The package sends nothing and reads no clock.
//
// The addresses are in groups by a hash, half as many groups as nodes. In each period a node probes one group, and the
// next group in the next period. So two nodes probe an address in a period (three if the number of nodes is odd), and
// after as many periods as groups every node has probed every address. A node does not probe its own addresses. The nodes
// need no messages for that: they derive the number of the period from the time of day.
package patrol
