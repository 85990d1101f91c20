// Package wire is a laboratory for ownership: speakers as real processes, each in a network namespace of its own, on one
// Ethernet segment with real packets, where any of their links can be cut, and judges beside them. A client asks an
// address a thousand times a second, another one does so with an empty neighbour table each time, and a sniffer notes who
// claims what.
//
// Each node has three links: eth0 to the LAN that clients are on, one for gossip and one to the API server, for which
// package apiserver stands in. All announced addresses are local to each node, and no kernel answers ARP or
// neighbour solicitations for them, as with kube-proxy in IPVS mode with strict ARP; it does answer pings. So pings show
// which node's MAC address the client's kernel holds.
//
// The namespaces have no names, and processes are killed with the thread that started them: whatever ends this process ends
// all of it. Needs root; nothing on the machine's own network is touched.
package wire
