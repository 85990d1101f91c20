package bfd

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lanlord/lanlord/pkg/bfd/session"
	"github.com/lanlord/lanlord/pkg/bfd/wire"
)

// receiverKey identifies a receiving socket: sessions of one local address share the socket.
type receiverKey struct {
	local    netip.Addr
	multihop bool
}

// receiver is a receiving socket.
type receiver struct {
	key receiverKey
	fd  int
	// index is the interface of a link-local address when the socket was bound.
	index, users int
}

// link is a session with its sockets.
type link struct {
	target  Target
	session *session.Session
	// view is the session as the last status shows it.
	view     session.View
	receiver *receiver
	// fd is the sending socket, -1 for none.
	fd int
	to destination
	// remote is the address of the peer without a zone. index is the interface of arrival, 0 for any.
	remote netip.Addr
	index  int
	// retry is the time of the next look at the sockets, or never.
	retry   time.Duration
	problem string
	errno   unix.Errno
	// late is the time at which this process was last late by more than half an interval, 0 for never. stretched is the
	// time of the last change of session.Stretched.
	late, stretched time.Duration
	counts          counts
}

// accepts checks where a packet comes from.
func (k *link) accepts(d *datagram) wire.Verdict {
	switch {
	case d.from != k.remote:
		return wire.BadSource
	case k.index != 0 && d.index != k.index:
		return wire.BadInterface
	case k.target.Multihop && d.ttl < int(k.target.Profile.MinimumTTL):
		return wire.BadTTL
	}
	return wire.Accepted
}

// apply makes the sessions those of targets.
func (l *loop) apply(targets []Target, now time.Duration) {
	before := map[Key]*link{}
	for _, k := range l.links {
		before[k.target.Key()] = k
	}
	kept := make([]*link, 0, len(targets))
	added := map[Key]bool{}
	for _, t := range targets {
		key := t.Key()
		if added[key] {
			continue
		}
		added[key] = true
		k := before[key]
		delete(before, key)
		if k == nil {
			k = l.newLink(t, session.New(t.Profile, l.newNumber(), rand.Uint64(), now), now)
		} else if k.target.Profile != t.Profile {
			k.target.Profile = t.Profile
			k.session.Configure(t.Profile, now)
		}
		kept = append(kept, k)
	}
	for _, k := range l.links {
		if before[k.target.Key()] == k {
			l.shut(k, now)
			l.close(k)
			delete(l.byNumber, k.session.Discriminator())
		}
	}
	l.links, l.dirty = kept, true
}

// newLink returns a link without sockets, which the next round opens.
func (l *loop) newLink(t Target, s *session.Session, now time.Duration) *link {
	k := &link{target: t, session: s, view: s.View(), fd: -1, remote: t.Remote.WithZone(""), retry: now}
	l.byNumber[s.Discriminator()] = k
	return k
}

// check opens the sockets of k when it has none, and opens them anew when the interface was created anew.
func (l *loop) check(k *link, now time.Duration) {
	k.retry = never
	if k.view.State != Up {
		k.retry = now + retryDelay
	}
	index, err := interfaceIndex(k.target.Key())
	if err == nil && k.fd >= 0 && index == k.index {
		return
	}
	if err == nil {
		l.close(k)
		err = l.open(k, index)
	}
	problem := ""
	if err != nil {
		problem = err.Error()
		k.retry = now + retryDelay
	}
	if problem == k.problem {
		return
	}
	k.problem, l.dirty = problem, true
	if err != nil {
		l.m.say(report{level: slog.LevelWarn, message: "a BFD session has no sockets", status: l.statusOf(k), err: err})
	}
}

// open opens the sockets of k.
func (l *loop) open(k *link, index int) error {
	r, err := l.receiver(receiverKey{local: k.target.Local, multihop: k.target.Multihop}, index, -1)
	if err != nil {
		return err
	}
	fd, err := openSender(k.target.Key(), index)
	if err != nil {
		l.release(r)
		return err
	}
	l.equip(k, r, fd, index)
	return nil
}

// equip gives k its sockets.
func (l *loop) equip(k *link, r *receiver, fd, index int) {
	k.receiver, k.fd, k.index, k.errno = r, fd, index, 0
	k.to = newDestination(k.target.Remote, index, port(k.target.Multihop))
}

// receiver returns the receiving socket with one more user: the open one, else fd, else a new one when fd is -1.
func (l *loop) receiver(key receiverKey, index, fd int) (*receiver, error) {
	if key.local.Zone() == "" {
		index = 0
	}
	if r := l.receivers[key]; r != nil && r.index == index {
		if fd >= 0 {
			unix.Close(fd)
		}
		r.users++
		return r, nil
	} else if r != nil { // bound to an interface that is gone: its sessions open a new one
		l.abandon(r)
	}
	if fd < 0 {
		var err error
		if fd, err = openReceiver(key.local, index, key.multihop); err != nil {
			return nil, err
		}
	}
	if err := l.poll.add(fd); err != nil {
		unix.Close(fd)
		return nil, err
	}
	r := &receiver{key: key, fd: fd, index: index, users: 1}
	l.receivers[key] = r
	return r, nil
}

// release ends one use of r.
func (l *loop) release(r *receiver) {
	if r.users--; r.users > 0 || l.receivers[r.key] != r {
		return
	}
	delete(l.receivers, r.key)
	l.poll.remove(r.fd)
	unix.Close(r.fd)
}

// abandon closes r although sessions use it. Their sockets are opened anew in this round or the next.
func (l *loop) abandon(r *receiver) {
	for _, k := range l.links {
		if k.receiver == r {
			l.close(k)
			k.retry = 0
		}
	}
}

// close closes the sockets of k.
func (l *loop) close(k *link) {
	if k.receiver != nil {
		l.release(k.receiver)
		k.receiver = nil
	}
	if k.fd >= 0 {
		unix.Close(k.fd)
		k.fd = -1
	}
}

func (l *loop) closeAll() {
	for _, k := range l.links {
		l.close(k)
	}
}

// adopt takes over a session of the previous process. A session whose sockets or state cannot be used begins anew, with
// the same target.
func (l *loop) adopt(d Detached) {
	now, _ := l.poll.now()
	l.dirty = true
	defer func() {
		for _, f := range d.Files {
			_ = f.Close() // a descriptor of a socket that l has now, or that nobody needs
		}
	}()
	k, err := l.restore(d, now)
	if err != nil {
		k = l.newLink(d.Target, session.New(d.Target.Profile, l.newNumber(), rand.Uint64(), now), now)
		l.m.say(report{level: slog.LevelWarn, message: "a BFD session begins anew in this process",
			status: l.statusOf(k), err: err})
	}
	l.links = append(l.links, k)
}

func (l *loop) restore(d Detached, now time.Duration) (*link, error) {
	if len(d.Files) != 2 {
		return nil, fmt.Errorf("%d sockets instead of 2", len(d.Files))
	}
	s, err := session.Restore(d.State, d.Target.Profile, rand.Uint64(), now)
	if err != nil {
		return nil, err
	}
	if l.byNumber[s.Discriminator()] != nil {
		return nil, fmt.Errorf("two sessions have discriminator %d", s.Discriminator())
	}
	t := d.Target
	index, err := interfaceIndex(t.Key())
	if err != nil {
		return nil, err
	}
	receiving, err := adoptSocket(d.Files[0], t.Local, port(t.Multihop), port(t.Multihop))
	if err != nil {
		return nil, err
	}
	sending, err := adoptSocket(d.Files[1], t.Local, portFirst, portLast)
	if err != nil {
		unix.Close(receiving)
		return nil, err
	}
	r, err := l.receiver(receiverKey{local: t.Local, multihop: t.Multihop}, index, receiving)
	if err != nil {
		unix.Close(sending)
		return nil, err
	}
	k := l.newLink(t, s, now)
	k.retry, k.stretched = never, now
	if k.view.State != Up {
		k.retry = now
	}
	l.equip(k, r, sending, index)
	return k, nil
}
