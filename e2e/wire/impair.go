package wire

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lanlord/lanlord/e2e/ether"
)

// Impairment is what is wrong with a cable. Not every kernel has netem, so this process carries the frames.
type Impairment struct {
	// Loss is the part of the frames that is lost, 0 to 1, of each direction.
	Loss float64
	// Delay is how long each frame is under way, and Jitter by how much longer it may be; so frames overtake each other.
	Delay, Jitter time.Duration
	// Seed makes the losses and jitters the same for the same frames.
	Seed uint64
	// Firewall drops what it does not let pass; nil lets everything pass.
	Firewall *Firewall
}

// Impair makes the cables of a node to the networks bad until the returned function is called.
func (l *Lab) Impair(number int, how Impairment, networks ...Network) (mend func() error, err error) {
	var relays []*relay
	mend = func() error {
		var err error
		for _, r := range relays {
			err = errors.Join(err, r.close())
		}
		return err
	}
	for _, network := range networks {
		r, err := l.hub.relay(l.nodes[number].ports[network], how)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("make the cable of %s to %s bad: %w", l.nodes[number].name, network, err), mend())
		}
		relays = append(relays, r)
	}
	return mend, nil
}

// relay takes the place of a port's plug in its switch: a cable of its own is plugged in there, and it carries the frames from
// the one to the other.
type relay struct {
	port   *port
	inner  netlink.Link
	fds    [2]int
	closed atomic.Bool
	ended  sync.WaitGroup
}

const (
	// vnetHeader is how many bytes the kernel puts before a frame to tell of a checksum that is not yet filled in, and of
	// segments that are not yet cut.
	vnetHeader = 10
	mostFrame  = vnetHeader + 14 + 1<<16
)

func (h *hub) relay(p *port, how Impairment) (*relay, error) {
	outer, inner := fmt.Sprintf("r%d", h.ports), fmt.Sprintf("s%d", h.ports)
	h.ports++
	r := &relay{port: p, fds: [2]int{-1, -1}}
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: outer}, PeerName: inner}
	if err := h.link.LinkAdd(pair); err != nil {
		return nil, err
	}
	r.inner = pair
	far, err := h.link.LinkByName(inner)
	if err == nil {
		err = errors.Join(h.link.LinkSetUp(pair), h.link.LinkSetUp(far), p.cut(), h.link.LinkSetMaster(far, h.bridge[p.network]))
	}
	for i, end := range []netlink.Link{p.end, pair} {
		if err == nil {
			err = h.do(func() (err error) { r.fds[i], err = ether.Carry(end.Attrs().Index); return err })
		}
	}
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	for i := range r.fds {
		r.ended.Go(func() { r.run(r.fds[i], r.fds[1-i], how, uint64(i)) })
	}
	return r, nil
}

// run carries one direction.
func (r *relay) run(from, to int, how Impairment, direction uint64) {
	random := rand.New(rand.NewPCG(how.Seed, direction))
	frame := make([]byte, mostFrame)
	for !r.closed.Load() {
		n, err := unix.Read(from, frame)
		if err != nil || random.Float64() < how.Loss || how.Firewall.drops(frame[min(n, vnetHeader):n], direction == 0) {
			continue // nothing came within the timeout, or the frame is lost
		}
		delay := how.Delay
		if how.Jitter > 0 {
			delay += time.Duration(random.Int64N(int64(how.Jitter)))
		}
		if delay == 0 {
			_, _ = unix.Write(to, frame[:n]) // what the other side cannot take is lost
			continue
		}
		late := append([]byte(nil), frame[:n]...)
		r.ended.Add(1)
		time.AfterFunc(delay, func() {
			defer r.ended.Done()
			_, _ = unix.Write(to, late)
		})
	}
}

// close puts the plug into the switch again, and drops nothing that is still under way.
func (r *relay) close() error {
	r.closed.Store(true)
	r.ended.Wait()
	for _, fd := range r.fds {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
	return errors.Join(r.port.hub.link.LinkDel(r.inner), r.port.join())
}
