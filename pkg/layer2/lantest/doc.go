// Package lantest is an Ethernet segment in memory: a switch, nodes for package layer2 to run on, and hosts whose neighbour
// caches obey the rules of ARP and NDP.
//
// A frame is delivered the moment it is sent, unless a link delays it. Whoever waits does so on channels and timers alone, so that in a bubble of
// testing/synctest every time is exact. The segment's mutex is held only while its state is looked at or changed.
package lantest
