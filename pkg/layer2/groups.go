package layer2

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/lanlord/lanlord/pkg/byaddr"
)

// membership keeps a socket in the solicited-node groups of a set of addresses. membership derives the groups from the
// whole set each time, so groups shared by several addresses need no counting. The zero value has no socket and no
// groups.
type membership struct {
	conn   GroupConn
	log    *slog.Logger
	joined map[netip.Addr]struct{}
	again  time.Time // when to retry after a failure; zero without a failure
}

// set joins and leaves groups until the socket is in exactly the groups of addrs.
func (m *membership) set(now time.Time, addrs byaddr.Map[struct{}]) {
	m.again = time.Time{}
	if m.conn == nil {
		return
	}
	groups := make(map[netip.Addr]struct{})
	for addr := range addrs.All() {
		if addr.Is6() {
			groups[solicitedNode(addr)] = struct{}{}
		}
	}
	if m.joined == nil {
		m.joined = make(map[netip.Addr]struct{}, len(groups))
	}
	join, leave := diff(m.joined, groups)
	for _, group := range leave {
		if err := m.conn.Leave(group); err != nil && !errors.Is(err, net.ErrClosed) {
			m.log.Warn("multicast group not left", "group", group, "err", err)
		}
		delete(m.joined, group)
	}
	for i, group := range join {
		err := m.conn.Join(group)
		if errors.Is(err, net.ErrClosed) {
			return // the next socket starts without groups
		}
		if err != nil {
			m.log.Error("multicast group not joined", "group", group, "missing", len(join)-i, "err", err, "retry", groupRetry)
			m.again = now.Add(groupRetry)
			return
		}
		m.joined[group] = struct{}{}
	}
}

// retry repeats a failed set once the time in again has come.
func (m *membership) retry(now time.Time, addrs byaddr.Map[struct{}]) {
	if !m.again.IsZero() && !now.Before(m.again) {
		m.set(now, addrs)
	}
}
