// Package pathprobe finds out whether TCP segments reach a port of a Service through one station: the frames of a
// probe, and the state machine that judges the answers. The package has no sockets and no clock.
//
// A probe sends a SYN to the hardware address of a node, whatever the neighbour caches say. The rules of the service
// proxy on that node pass the SYN to a Pod, and the answer tells how far the SYN came. A probe completes no connection:
// a RST follows each SYN-ACK before the third segment of the handshake, so no program accepts (RFC 9293, section 3.5).
package pathprobe
