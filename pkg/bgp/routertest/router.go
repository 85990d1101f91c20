package routertest

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"github.com/lanlord/lanlord/pkg/bgp/wire"
)

// Options say what the router is and how it misbehaves. The zero value of a field is a router without fault.
type Options struct {
	// ASN is the number of the router, PeerASN the number of the speaker. SaysASN replaces ASN in the OPEN of the
	// router.
	ASN, PeerASN, SaysASN uint32
	// ID is the BGP identifier. Default 192.0.2.255.
	ID netip.Addr
	// HoldTime is in whole seconds. Default 90 s; negative for 0.
	HoldTime time.Duration
	// NoCapabilities leaves out all capabilities, the others leave out one.
	NoCapabilities, NoMultiprotocol, NoFourByteASN, NoRefresh bool
	// Only are the families offered. Default both.
	Only []wire.Family
	// ExtendedNextHop offers RFC 8950.
	ExtendedNextHop bool
	// GracefulRestart is the capability, nil for none. The router then keeps stale routes when a connection is lost.
	GracefulRestart *wire.GracefulRestart
	// Silent reads and says nothing.
	Silent bool
	// Refuse answers the OPEN with a NOTIFICATION. RefuseCapabilities answers only an OPEN with optional parameters so.
	Refuse, RefuseCapabilities *wire.Notification
}

// Path is a route in the router's table.
type Path struct {
	NextHop          netip.Addr
	ASPath           []uint32
	MED, LocalPref   *uint32
	Communities      []uint32
	LargeCommunities [][3]uint32
	// Stale is true for a route of the connection before, during graceful restart.
	Stale bool
}

// Router is the router. Its methods may run at the same time.
type Router struct {
	options Options

	mu         sync.Mutex
	rib        map[netip.Prefix]Path
	peer       *peer
	violations []string
	counts     Counts
	opened     []wire.Open
}

// Counts counts what the router has received in all connections.
type Counts struct {
	Messages [wire.TypeCount]int
	Bytes    int
	// Announced and Withdrawn count prefixes, Unchanged announcements of what the router had already.
	Announced, Withdrawn, Unchanged int
	// EndOfRIB counts the markers by family.
	EndOfRIB [wire.FamilyCount]int
	// Notification is the newest one.
	Notification wire.Notification
}

// peer is one connection.
type peer struct {
	buf         []byte
	open        *wire.Open
	established bool
	refreshed   [wire.FamilyCount]bool
	ended       [wire.FamilyCount]bool
	hard        bool
}

// New returns a router without a connection.
func New(o Options) *Router {
	if !o.ID.IsValid() {
		o.ID = netip.MustParseAddr("192.0.2.255")
	}
	if o.HoldTime == 0 {
		o.HoldTime = 90 * time.Second
	}
	return &Router{options: o, rib: map[netip.Prefix]Path{}}
}

// SetOptions replaces the options, before a connection. The AS numbers stay where o has none.
func (r *Router) SetOptions(o Options) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o.ASN, o.PeerASN = cmp.Or(o.ASN, r.options.ASN), cmp.Or(o.PeerASN, r.options.PeerASN)
	r.options = New(o).options
}

// Connect begins a connection.
func (r *Router) Connect() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost()
	r.peer = &peer{}
}

// Disconnect ends the connection, as a loss of TCP does.
func (r *Router) Disconnect() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost()
}

// lost removes the routes, or makes them stale where graceful restart was negotiated (RFC 4724, section 4.2; RFC 8538).
func (r *Router) lost() {
	if r.peer == nil {
		return
	}
	p := r.peer
	r.peer = nil
	if !p.established {
		return
	}
	var theirs *wire.GracefulRestart
	if p.open.Capabilities != nil {
		theirs = p.open.Capabilities.GracefulRestart
	}
	for prefix, path := range r.rib {
		f := wire.FamilyOf(prefix.Addr())
		if path.Stale || p.hard || r.options.GracefulRestart == nil || theirs == nil || !theirs.Families[f] {
			delete(r.rib, prefix)
			continue
		}
		path.Stale = true
		r.rib[prefix] = path
	}
}

// ExpireStale removes the stale routes, as at the end of the restart time.
func (r *Router) ExpireStale() {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.rib, func(_ netip.Prefix, p Path) bool { return p.Stale })
}

// Receive takes in bytes from the speaker, in pieces of any size, and returns the answer. open is false when the router
// closes the connection after the answer.
func (r *Router) Receive(data []byte) (answer []byte, open bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts.Bytes += len(data)
	if r.peer == nil {
		return nil, false
	}
	if r.options.Silent {
		return nil, true
	}
	r.peer.buf = append(r.peer.buf, data...)
	for r.peer != nil && len(r.peer.buf) >= wire.HeaderLen {
		size := int(binary.BigEndian.Uint16(r.peer.buf[16:]))
		if size < wire.HeaderLen || size > wire.MaxLen {
			r.violate("a message has %d bytes", size)
			return answer, false
		}
		if len(r.peer.buf) < size {
			break
		}
		message := r.peer.buf[:size]
		r.peer.buf = r.peer.buf[size:]
		answer = r.message(answer, message)
	}
	return answer, r.peer != nil
}

// violate notes an error of the speaker.
func (r *Router) violate(format string, args ...any) {
	r.violations = append(r.violations, fmt.Sprintf(format, args...))
}

// message handles one message, and appends the answer.
func (r *Router) message(answer, b []byte) []byte {
	m, err := bgp.ParseBGPMessage(b, r.marshalling()...)
	if err != nil {
		r.violate("the message % x is not valid: %v", b, err)
		return r.end(answer, wire.Notification{Code: 3})
	}
	t := wire.Type(m.Header.Type)
	r.counts.Messages[t]++
	switch body := m.Body.(type) {
	case *bgp.BGPOpen:
		return r.openMessage(answer, b, body)
	case *bgp.BGPNotification:
		n := wire.Notification{Code: body.ErrorCode, Subcode: body.ErrorSubcode, Data: slices.Clone(body.Data)}
		r.counts.Notification = n
		_, r.peer.hard = n.Reason()
		if !r.keepsOnNotification() {
			r.peer.hard = true
		}
		r.lost()
		return answer
	}
	switch {
	case r.peer.open == nil:
		r.violate("the message %v comes before the OPEN", t)
	case t == wire.TypeKeepalive:
		if len(b) != wire.HeaderLen {
			r.violate("a KEEPALIVE has %d bytes", len(b))
		}
		if r.peer.established {
			return wire.AppendKeepalive(answer)
		}
		r.peer.established = true
	case !r.peer.established:
		r.violate("the message %v comes before the KEEPALIVE", t)
	case t == wire.TypeUpdate:
		r.update(b, m.Body.(*bgp.BGPUpdate))
	default:
		r.violate("a speaker that only announces sends %v", t)
	}
	return answer
}

// keepsOnNotification tells whether both sides have the N bit (RFC 8538).
func (r *Router) keepsOnNotification() bool {
	ours := r.options.GracefulRestart
	if ours == nil || !ours.Notification || r.peer.open == nil || r.peer.open.Capabilities == nil {
		return false
	}
	theirs := r.peer.open.Capabilities.GracefulRestart
	return theirs != nil && theirs.Notification
}

// end sends a NOTIFICATION and ends the connection.
func (r *Router) end(answer []byte, n wire.Notification) []byte {
	answer = n.Append(answer)
	_, r.peer.hard = n.Reason()
	if !r.keepsOnNotification() {
		r.peer.hard = true
	}
	r.lost()
	return answer
}

// Notify returns a NOTIFICATION to be sent, and ends the connection.
func (r *Router) Notify(n wire.Notification) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.peer == nil {
		return nil
	}
	return r.end(nil, n)
}

// Refresh returns a ROUTE-REFRESH to be sent. Until the next End-of-RIB nothing is said about unchanged routes.
func (r *Router) Refresh(f wire.Family) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.peer == nil || !r.peer.established {
		return nil
	}
	r.peer.refreshed[f] = true
	return wire.AppendRouteRefresh(nil, f)
}

// Established tells whether the session is established.
func (r *Router) Established() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.peer != nil && r.peer.established
}

// RIB returns the routes.
func (r *Router) RIB() map[netip.Prefix]Path {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.rib)
}

// Counts returns what was counted.
func (r *Router) Counts() Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts
}

// Opens returns the OPENs of the speaker, oldest first.
func (r *Router) Opens() []wire.Open {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.opened)
}

// Violations returns what the speaker did against the RFCs.
func (r *Router) Violations() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.violations)
}

// String returns the routes as text, one a line, sorted by prefix.
func (r *Router) String() string {
	rib := r.RIB()
	var b strings.Builder
	for _, prefix := range slices.SortedFunc(maps.Keys(rib), netip.Prefix.Compare) {
		fmt.Fprintf(&b, "%v %v\n", prefix, rib[prefix])
	}
	return b.String()
}

// String returns the path as text: the next hop, and what else there is.
func (p Path) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "via %v", p.NextHop)
	if len(p.ASPath) > 0 {
		fmt.Fprintf(&b, " path %v", strings.Trim(fmt.Sprint(p.ASPath), "[]"))
	}
	if p.MED != nil {
		fmt.Fprintf(&b, " med %d", *p.MED)
	}
	if p.LocalPref != nil {
		fmt.Fprintf(&b, " localpref %d", *p.LocalPref)
	}
	for _, c := range p.Communities {
		fmt.Fprintf(&b, " %d:%d", c>>16, c&0xffff)
	}
	for _, c := range p.LargeCommunities {
		fmt.Fprintf(&b, " %d:%d:%d", c[0], c[1], c[2])
	}
	if p.Stale {
		b.WriteString(" stale")
	}
	return b.String()
}
