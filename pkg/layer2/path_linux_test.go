package layer2

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/lanlord/lanlord/pkg/pathprobe"
)

// TestPathProgram runs the kernel filter of a probe.
func TestPathProgram(t *testing.T) {
	flow4 := pathprobe.Flow{Source: netip.MustParseAddrPort("192.0.2.11:61000"), Service: netip.MustParseAddrPort("192.0.2.80:80")}
	flow6 := pathprobe.Flow{Source: netip.MustParseAddrPort("[2001:db8::11]:61000"), Service: netip.MustParseAddrPort("[2001:db8::80]:80")}
	router4, router6 := netip.MustParseAddr("192.0.2.12"), netip.MustParseAddr("2001:db8::12")
	for _, c := range []struct {
		name             string
		flow             pathprobe.Flow
		from, to         netip.Addr
		protocol         byte
		port             uint16
		kind             byte
		want, fragmented bool
	}{
		{name: "segment to the first port", flow: flow4, from: flow4.Service.Addr(), to: flow4.Source.Addr(), protocol: protocolTCP, port: 61000, want: true},
		{name: "segment to the last port", flow: flow4, from: flow4.Service.Addr(), to: flow4.Source.Addr(), protocol: protocolTCP, port: 61003, want: true},
		{name: "segment above", flow: flow4, from: flow4.Service.Addr(), to: flow4.Source.Addr(), protocol: protocolTCP, port: 61004},
		{name: "segment below", flow: flow4, from: flow4.Service.Addr(), to: flow4.Source.Addr(), protocol: protocolTCP, port: 60999},
		{name: "segment of another host", flow: flow4, from: router4, to: flow4.Source.Addr(), protocol: protocolTCP, port: 61000},
		{name: "segment to another host", flow: flow4, from: flow4.Service.Addr(), to: router4, protocol: protocolTCP, port: 61000},
		{name: "fragment", flow: flow4, from: flow4.Service.Addr(), to: flow4.Source.Addr(), protocol: protocolTCP, port: 61000, fragmented: true},
		{name: "datagram", flow: flow4, from: flow4.Service.Addr(), to: flow4.Source.Addr(), protocol: 17, port: 61000},
		{name: "error", flow: flow4, from: router4, to: flow4.Source.Addr(), protocol: protocolICMP, kind: 3, want: true},
		{name: "redirect", flow: flow4, from: router4, to: flow4.Source.Addr(), protocol: protocolICMP, kind: 5, want: true},
		{name: "error to another host", flow: flow4, from: router4, to: flow4.Service.Addr(), protocol: protocolICMP, kind: 3},
		{name: "IPv6 segment", flow: flow6, from: flow6.Service.Addr(), to: flow6.Source.Addr(), protocol: protocolTCP, port: 61000, want: true},
		{name: "IPv6 segment above", flow: flow6, from: flow6.Service.Addr(), to: flow6.Source.Addr(), protocol: protocolTCP, port: 61004},
		{name: "IPv6 segment of another host", flow: flow6, from: router6, to: flow6.Source.Addr(), protocol: protocolTCP, port: 61000},
		{name: "IPv6 error", flow: flow6, from: router6, to: flow6.Source.Addr(), protocol: protocolICMPv6, kind: 1, want: true},
		{name: "IPv6 redirect", flow: flow6, from: router6, to: flow6.Source.Addr(), protocol: protocolICMPv6, kind: 137, want: true},
		{name: "solicitation", flow: flow6, from: router6, to: flow6.Source.Addr(), protocol: protocolICMPv6, kind: 135},
		{name: "echo reply", flow: flow6, from: router6, to: flow6.Source.Addr(), protocol: protocolICMPv6, kind: 129, want: true},
		{name: "advertisement", flow: flow6, from: router6, to: flow6.Source.Addr(), protocol: protocolICMPv6, kind: 136},
	} {
		b := make([]byte, 80)
		payload := ip4End
		if c.from.Is4() {
			b[ip4Start], b[ip4Protocol] = ip4Plain, c.protocol
			copy(b[ip4Source:], c.from.AsSlice())
			copy(b[ip4Destination:], c.to.AsSlice())
			if c.fragmented {
				binary.BigEndian.PutUint16(b[ip4Fragment:], 1)
			}
		} else {
			b[ip6Start], b[ip6NextHeader], payload = 0x60, c.protocol, icmp6Start
			copy(b[ip6Source:], c.from.AsSlice())
			copy(b[ip6Destination:], c.to.AsSlice())
		}
		if b[payload] = c.kind; c.port > 0 {
			binary.BigEndian.PutUint16(b[payload+portDistance:], c.port)
		}
		if got := passes(t, machine(t, pathProgram(c.flow, 4), extensions{}), b); got != c.want {
			t.Errorf("%s: the filter says %v", c.name, got)
		}
	}
}
