// Package lantest simulates an Ethernet segment in memory: a switch, nodes for package layer2, and hosts with neighbour
// caches that obey the rules of ARP and NDP.
//
// The segment delivers a frame at the moment of sending, unless a link delays the frame. All waiting uses channels and
// timers, so in a bubble of testing/synctest every time is exact. The mutex of the segment is held only to read or
// change the state of the segment.
package lantest
