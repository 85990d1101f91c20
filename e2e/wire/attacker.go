package wire

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lanlord/lanlord/e2e/ether"
)

// attackerHost is the attacker's number in the LAN and the network of the gossip.
const attackerHost = 251

// attacker is a namespace with a link to the LAN and one to the network of the gossip.
type attacker struct {
	*namespace
	lab    *Lab
	random *rand.Rand
	mac    MAC
	// victim is the node that the attack is meant for, owners are who has which address, and targets what the victim has.
	victim  *node
	owners  map[netip.Addr]MAC
	targets []netip.Addr
	raw     int // on the LAN
	udp     *net.UDPConn
	heard   int // on the bridge of the gossip, as behind a switch that floods
}

func newAttacker(l *Lab, victim *node, owners map[netip.Addr]MAC) (*attacker, error) {
	n, err := newNamespace()
	if err != nil {
		return nil, err
	}
	a := &attacker{namespace: n, lab: l, random: rand.New(rand.NewPCG(1, 1)), victim: victim, owners: owners, raw: -1, heard: -1}
	for _, addr := range l.addrs {
		if owners[addr] == victim.mac {
			a.targets = append(a.targets, addr)
		}
	}
	if err := a.plugIn(); err != nil {
		a.close()
		return nil, fmt.Errorf("make an attacker: %w", err)
	}
	return a, nil
}

func (a *attacker) plugIn() error {
	for network, addr := range map[Network]netip.Prefix{LAN: host(lan4, attackerHost), Gossip: host(gossip6, attackerHost)} {
		if _, err := a.lab.hub.plug(a.namespace, network, addr); err != nil {
			return err
		}
	}
	var link netlink.Link
	link, err := a.link.LinkByName(interfaces[LAN])
	if err != nil {
		return err
	}
	a.mac = MAC(link.Attrs().HardwareAddr)
	if err := a.do(func() (err error) { a.raw, err = ether.Listen(link.Attrs().Index, unix.ETH_P_ALL); return err }); err != nil {
		return err
	}
	err = a.do(func() (err error) {
		a.udp, err = net.ListenUDP("udp6", &net.UDPAddr{IP: host(gossip6, attackerHost).Addr().AsSlice()})
		return err
	})
	if err != nil {
		return err
	}
	return a.lab.hub.do(func() (err error) {
		a.heard, err = ether.Listen(a.lab.hub.bridge[Gossip].Attrs().Index, ether.TypeIPv6)
		return err
	})
}

func (a *attacker) close() {
	for _, fd := range []int{a.raw, a.heard} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
	if a.udp != nil {
		_ = a.udp.Close() // nothing is lost that was not lost before
	}
	for _, network := range []Network{LAN, Gossip} {
		if end, err := a.link.LinkByName(interfaces[network]); err == nil {
			_ = a.link.LinkDel(end) // it goes with the namespace at the latest
		}
	}
	a.namespace.close()
}

// attack does it until ctx is done, and returns how much was sent.
func (a *attacker) attack(ctx context.Context, what Attack, rate int) (int, error) {
	if what.act != nil {
		return what.act(a, ctx, rate)
	}
	frames, next := what.frames(a), 0
	return paced(ctx, rate, func() error {
		_, err := unix.Write(a.raw, frames[next%len(frames)])
		next++
		if errors.Is(err, unix.ENOBUFS) {
			return nil // its own link is full
		}
		return err
	})
}

// paced calls f so often a second until ctx is done or f fails, and returns how often it did. After a pause it catches up at most a
// tenth of a second.
func paced(ctx context.Context, rate int, f func() error) (n int, err error) {
	const tick = 2 * time.Millisecond
	t := time.NewTicker(tick)
	defer t.Stop()
	last, due := time.Now(), 0.0
	for {
		select {
		case <-ctx.Done():
			return n, nil
		case <-t.C:
		}
		now := time.Now()
		due = min(due+float64(rate)*now.Sub(last).Seconds(), float64(rate)/10)
		last = now
		for ; due >= 1; due-- {
			if err := f(); err != nil {
				return n, err
			}
			n++
		}
	}
}

// answerAll answers all questions for addresses of the pools, to whoever asks and then to all, as the first if it can.
func (a *attacker) answerAll(ctx context.Context, _ int) (sent int, err error) {
	frame := make([]byte, 2048)
	for ctx.Err() == nil {
		n, err := unix.Read(a.raw, frame)
		if err != nil {
			continue // nothing came within the timeout
		}
		answer, addr, ok := ether.Answer(frame[:n], a.mac)
		if !ok || !services4.Contains(addr) && !services6.Contains(addr) {
			continue
		}
		for _, frame := range [][]byte{answer, ether.Announcement(addr, a.mac)} {
			if _, err := unix.Write(a.raw, frame); err != nil && !errors.Is(err, unix.ENOBUFS) {
				return sent, err
			}
			sent++
		}
	}
	return sent, nil
}
