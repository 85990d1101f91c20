package layer2

import (
	"fmt"
	"net/netip"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/lanlord/lanlord/pkg/pathprobe"
)

var _ pathNetwork = (*host)(nil)

// ListenPath implements pathNetwork.
func (h *host) ListenPath(i Interface, f pathprobe.Flow, questions int) (Conn, error) {
	kind := unix.ETH_P_IP
	if f.Service.Addr().Is6() {
		kind = unix.ETH_P_IPV6
	}
	conn, err := listenPacket(i, kind, func(*scope, int) []bpf.Instruction { return pathProgram(f, questions) })
	if err != nil {
		return nil, fmt.Errorf("open a socket for a probe on %s: %w", i.Name, err)
	}
	return conn, nil
}

// tcpPorts4 and tcpPorts6 are the offsets of the ports in a segment, for IPv4 from the start of the IP header plus its
// length.
const (
	tcpPorts6    = icmp6Start
	protocolTCP  = 6
	portDistance = 2 // from the source port to the destination port
)

// pathProgram accepts the segments from a Service to the ports of the questions, and all ICMP errors to the source: the
// probe looks at the quoted packet. Echo replies to the source pass too. Other traffic of the node does not wake this
// process.
func pathProgram(f pathprobe.Flow, questions int) []bpf.Instruction {
	a := &assembler{closest: map[label]label{}}
	drop := a.put(bpf.RetConstant{})
	pass := a.put(bpf.RetConstant{Val: wholeFrame})
	first := uint32(f.Source.Port())
	ports := a.jumpIf(bpf.JumpGreaterThan, first+uint32(questions)-1, drop, pass)
	ports = a.jumpIf(bpf.JumpGreaterOrEqual, first, ports, drop)
	var start label
	if f.Service.Addr().Is4() {
		segment := a.load(bpf.LoadIndirect{Off: ip4Start + portDistance, Size: 2}, ports)
		segment = a.load(bpf.LoadMemShift{Off: ip4Start}, segment)
		whole := a.jumpIf(bpf.JumpBitsSet, ip4Fragmented, drop, segment)
		segment = a.load(bpf.LoadAbsolute{Off: ip4Fragment, Size: 2}, whole)
		segment = a.equal(ip4Source, f.Service.Addr(), segment, drop)
		kind := a.jumpIf(bpf.JumpEqual, protocolICMP, pass, drop)
		kind = a.jumpIf(bpf.JumpEqual, protocolTCP, segment, kind)
		kind = a.load(bpf.LoadAbsolute{Off: ip4Protocol, Size: 1}, kind)
		start = a.equal(ip4Destination, f.Source.Addr(), kind, drop)
	} else {
		segment := a.load(bpf.LoadAbsolute{Off: tcpPorts6 + portDistance, Size: 2}, ports)
		segment = a.equal(ip6Source, f.Service.Addr(), segment, drop)
		// A redirect goes to the source too. Solicitations and advertisements (types 135 and 136) are frequent.
		message := a.jumpIf(bpf.JumpEqual, typeRedirect6, pass, drop)
		message = a.jumpIf(bpf.JumpEqual, echoReply6, pass, message)
		message = a.jumpIf(bpf.JumpLessThan, firstInformation6, pass, message)
		message = a.load(bpf.LoadAbsolute{Off: icmp6Start, Size: 1}, message)
		kind := a.jumpIf(bpf.JumpEqual, protocolICMPv6, message, drop)
		kind = a.jumpIf(bpf.JumpEqual, protocolTCP, segment, kind)
		kind = a.load(bpf.LoadAbsolute{Off: ip6NextHeader, Size: 1}, kind)
		start = a.equal(ip6Destination, f.Source.Addr(), kind, drop)
	}
	a.forThisHost(start, drop)
	return a.finish()
}

// ICMPv6 types: errors are below the first type of an informational message (RFC 4443, section 2.1).
const (
	firstInformation6 = 128
	typeRedirect6     = 137
)

// equal adds a test: does the frame have the address at offset off?
func (a *assembler) equal(off uint32, addr netip.Addr, yes, no label) label {
	parts := words(addr)
	for n := len(parts) - 1; n >= 0; n-- {
		yes = a.load(word(off+uint32(4*n)), a.jumpIf(bpf.JumpEqual, parts[n], yes, no))
	}
	return yes
}
