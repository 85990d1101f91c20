package wire

import "net/netip"

// The addresses of the laboratory, which never leave its namespaces. A host has the same number in all of its networks.
var (
	lan4    = netip.MustParsePrefix("10.99.0.0/16")
	lan6    = netip.MustParsePrefix("fd00:99::/64")
	gossip6 = netip.MustParsePrefix("fd00:97::/64")
	api4    = netip.MustParsePrefix("10.98.0.0/16")
	// services4 and services6 are the pool, as parts of the LAN's subnets.
	services4 = netip.MustParsePrefix("10.99.128.0/17")
	services6 = netip.MustParsePrefix("fd00:99::1:0/112")
)

// The numbers of the hosts: the nodes follow one another from firstNode.
const (
	serverHost  = 1 // the API server, in its network; the sniffer in the LAN
	cachedHost  = 2
	emptiesHost = 3
	firstNode   = 10
	mostNodes   = 200
	// mostAddresses is how many addresses the pool has of each family.
	mostAddresses = 32_000
)

// host returns the address of a number in a network, with the length of its subnet.
func host(network netip.Prefix, number int) netip.Prefix {
	b := network.Addr().AsSlice()
	b[len(b)-2] += byte(number >> 8)
	b[len(b)-1] += byte(number)
	a, _ := netip.AddrFromSlice(b) // it has the length of an address
	return netip.PrefixFrom(a, network.Bits())
}
