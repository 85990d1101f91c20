package membership

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
)

// TestDatagrams sends datagrams between two sockets in each family, one of them empty and one too long for the reader.
func TestDatagrams(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		t.Run(host, func(t *testing.T) {
			var conns [2]*net.UDPConn
			var ends [2]datagrams
			var at [2]netip.AddrPort
			for i := range ends {
				udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(host)})
				if errors.Is(err, syscall.EADDRNOTAVAIL) {
					t.Skip("no such address here")
				}
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { udp.Close() })
				conns[i], at[i] = udp, udp.LocalAddr().(*net.UDPAddr).AddrPort()
				if ends[i], err = newDatagrams(udp); err != nil {
					t.Fatal(err)
				}
			}
			b := make([]byte, 8)
			for _, c := range []struct{ sent, want string }{{"word", "word"}, {"", ""}, {"too long for this", "too long"}} {
				if err := ends[0].write([]byte(c.sent), at[1]); err != nil {
					t.Fatal(err)
				}
				n, from, err := ends[1].read(b)
				if err != nil || !bytes.Equal(b[:n], []byte(c.want)) || from.Port() != at[0].Port() || from.Addr().Unmap() != at[0].Addr().Unmap() {
					t.Errorf("read %q from %s: %v, want %q from %s", b[:n], from, err, c.want, at[0])
				}
			}
			// memberlist looks for these fields.
			other := netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), 7)
			if at[0].Addr().Unmap().Is4() {
				other = netip.AddrPortFrom(netip.MustParseAddr("2001:db8::1"), 7)
			}
			var failed *net.OpError
			if err := ends[0].write(nil, other); !errors.As(err, &failed) || failed.Op != "write" || failed.Net != "udp" {
				t.Errorf("a datagram to the other family: %v", err)
			}
			for i := range ends {
				conns[i].Close()
				if _, _, err := ends[i].read(b); !errors.Is(err, net.ErrClosed) {
					t.Errorf("read from a closed socket: %v", err)
				}
				if err := ends[i].write(b, at[1]); !errors.Is(err, net.ErrClosed) {
					t.Errorf("write to a closed socket: %v", err)
				}
			}
		})
	}
}
