// Package ether builds and reads the frames of the tests: ARP, neighbour discovery and pings in Ethernet frames, with VLAN
// tags, and traces in the format pcap. No code of Lanlord takes part, so that an error in Lanlord's own encoding shows.
package ether
