package wire

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lanlord/lanlord/e2e/ether"
)

const (
	// gossipPort is where the speakers listen.
	gossipPort = 7950
	// streamEvery is how many datagrams come for each stream.
	streamEvery = 50
	// mostRecorded is how many of the speakers' datagrams an attacker keeps.
	mostRecorded = 4096
)

// door returns where a speaker takes gossip in.
func (a *attacker) door(i int) netip.AddrPort {
	return netip.AddrPortFrom(host(gossip6, a.lab.nodes[i%len(a.lab.nodes)].number).Addr(), gossipPort)
}

// nonsense sends datagrams and streams of chance, and some that are encrypted as gossip is, with another key.
func (a *attacker) nonsense(ctx context.Context, rate int) (int, error) {
	block, err := aes.NewCipher(a.chance(32))
	if err != nil {
		return 0, err
	}
	seal, err := cipher.NewGCM(block)
	if err != nil {
		return 0, err
	}
	i := 0
	return paced(ctx, rate, func() error {
		data := a.chance(a.random.IntN(1400))
		if i++; i%2 == 0 {
			const version = 1 // of memberlist's encryption: no padding
			nonce := a.chance(seal.NonceSize())
			data = append([]byte{version}, seal.Seal(nonce, nonce, data, nil)...)
		}
		if i%streamEvery == 0 {
			return a.stream(ctx, a.door(i), data)
		}
		_, _ = a.udp.WriteToUDPAddrPort(data, a.door(i)) // what the kernel cannot send is not sent
		return nil
	})
}

// replay listens to the speakers, and sends each of them what was said to it, again and again: as it was, to another one, with some bytes
// changed, and cut short.
func (a *attacker) replay(ctx context.Context, rate int) (int, error) {
	var recorded []overheard
	b := make([]byte, 2048)
	i := 0
	sent, err := paced(ctx, rate, func() error {
		for len(recorded) < mostRecorded {
			n, _, err := unix.Recvfrom(a.heard, b, unix.MSG_DONTWAIT)
			if err != nil {
				break
			}
			if o, ok := overhear(b[:n]); ok && o.from != host(gossip6, attackerHost).Addr() {
				recorded = append(recorded, o)
			}
		}
		if len(recorded) == 0 {
			return nil
		}
		one := recorded[a.random.IntN(len(recorded))]
		to, data := one.to, slices.Clone(one.data)
		switch i++; i % 4 {
		case 1:
			to = a.door(i)
		case 2:
			data[a.random.IntN(len(data))] ^= byte(1 + a.random.IntN(255))
		case 3:
			data = data[:a.random.IntN(len(data))]
		}
		if i%streamEvery == 0 {
			return a.stream(ctx, to, data)
		}
		_, _ = a.udp.WriteToUDPAddrPort(data, to) // what the kernel cannot send is not sent
		return nil
	})
	if err == nil && len(recorded) == 0 {
		err = fmt.Errorf("nothing was overheard that could be sent again")
	}
	return sent, err
}

// chance returns so many bytes of chance.
func (a *attacker) chance(n int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(a.random.Uint32())
	}
	return data
}

// stream opens a connection, says something and leaves it open until the other side has had enough, or ctx is done.
func (a *attacker) stream(ctx context.Context, to netip.AddrPort, data []byte) error {
	return a.do(func() error {
		var dialer net.Dialer
		dialing, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		conn, err := dialer.DialContext(dialing, "tcp6", to.String())
		if err != nil {
			return nil // it is refused, or nobody has the time
		}
		_, _ = conn.Write(data) // it may be closed by now
		time.AfterFunc(2*time.Second, func() { _ = conn.Close() })
		return nil
	})
}

// overheard is a datagram of one speaker to another.
type overheard struct {
	from netip.Addr
	to   netip.AddrPort
	data []byte
}

// overhear returns the datagram of gossip in a frame.
func overhear(frame []byte) (o overheard, ok bool) {
	const udp, udpEnd = ether.ICMPv6Start, ether.ICMPv6Start + 8
	if len(frame) <= udpEnd || frame[ether.HeaderSize+6] != unix.IPPROTO_UDP || binary.BigEndian.Uint16(frame[udp+2:]) != gossipPort {
		return o, false
	}
	from, to := netip.AddrFrom16([16]byte(frame[ether.IPv6Source:])), netip.AddrFrom16([16]byte(frame[ether.IPv6Target:]))
	return overheard{from, netip.AddrPortFrom(to, gossipPort), slices.Clone(frame[udpEnd:])}, true
}
