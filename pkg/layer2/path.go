package layer2

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"github.com/lanlord/lanlord/pkg/pathprobe"
)

// The reasons why a path cannot be probed.
var (
	// ErrNoSource means that no interface serves the address, or that the interface has no address of the family to
	// probe from.
	ErrNoSource = errors.New("no interface with an address of this family to probe from")
	// ErrOwnStation means that the station is this host: a frame to itself proves nothing about the wire.
	ErrOwnStation = errors.New("the station is this node")
	// ErrNotOurs means that the address is not in the set, so that nothing may be sent for the address.
	ErrNotOurs = errors.New("no Service of Lanlord has the address")
	// ErrPathRate means that this node has sent its probes of this second.
	ErrPathRate = errors.New("this node has probed as many paths as it may in this second")
	// ErrNoPaths means that the network stack has no sockets for probes of paths.
	ErrNoPaths = errors.New("paths cannot be probed on this system")
)

const (
	// pathRate limits the questions about paths a second, and at once.
	pathRate = 500
	// firstPathPort is the first source port of a probe. The ports above are outside the default range of the kernel
	// for connections (ip_local_port_range ends at 60999) and outside the range of NodePorts.
	firstPathPort = 61000
	lastPathPort  = 65535
)

// PathQuestion names a path to probe: through the station To to a TCP port of a Service.
type PathQuestion struct {
	// To is the station, whether the station answers for the address or not.
	To MAC
	// Service is the address of the Service, which must be in the set, with a TCP port. Port 0 asks for a ping: the
	// speaker of the station answers, without the service proxy.
	Service netip.AddrPort
	// Interfaces are names or patterns, as in Target.
	Interfaces []string
	// Options configure the probe.
	Options pathprobe.Options
}

// PathFinding is the result of a probe of a path.
type PathFinding struct {
	pathprobe.Answer
	// Interface is the name of the interface, and Source the address that the probe came from.
	Interface string
	Source    netip.Addr
}

// pathNetwork is a Network with sockets for probes of paths.
type pathNetwork interface {
	// ListenPath opens a socket for the answers to the questions of a flow.
	ListenPath(i Interface, f pathprobe.Flow, questions int) (Conn, error)
}

// ProbePath sends TCP SYNs for a port of a Service to the hardware address of a station, and returns what came back.
// The frames pass by the neighbour cache, the service proxy and the connection tracking of this host. The kernel of
// this host sees the answers too, has no connection for them, and sends RSTs of its own, which do no harm: a RST ends
// the question anyway. The source ports are ports on which no program listens. ProbePath returns with the first answer
// that ends the probe, with silence after the time in the options, or with an error before the first frame.
//
// Nothing is sent for an address outside the set, whoever asks, and at most 500 questions are sent a second.
func (a *Announcer) ProbePath(ctx context.Context, q PathQuestion) (PathFinding, error) {
	f, err := a.probePath(ctx, q)
	if err != nil {
		return f, fmt.Errorf("probe the path to %v through %v: %w", q.Service, q.To, err)
	}
	return f, nil
}

func (a *Announcer) probePath(ctx context.Context, q PathQuestion) (PathFinding, error) {
	network, ok := a.network.(pathNetwork)
	if !ok {
		return PathFinding{}, ErrNoPaths
	}
	q.Service = netip.AddrPortFrom(q.Service.Addr().Unmap().WithZone(""), q.Service.Port())
	if _, has := a.targets.load().Get(q.Service.Addr()); !has {
		return PathFinding{}, ErrNotOurs
	}
	if slices.Contains(a.MACs(), q.To) {
		return PathFinding{}, ErrOwnStation
	}
	i, source, ok := a.pathSource(q)
	if !ok {
		return PathFinding{}, ErrNoSource
	}
	port := firstPathPort + rand.N(lastPathPort-firstPathPort-pathprobe.MostQuestions)
	flow := pathprobe.Flow{
		From: pathprobe.MAC(i.MAC), To: pathprobe.MAC(q.To), Source: netip.AddrPortFrom(source, uint16(port)),
		Service: q.Service,
	}
	probe := pathprobe.New(flow, rand.Uint32(), q.Options)
	if !a.paths.AllowN(time.Now(), probe.Questions()) {
		return PathFinding{}, ErrPathRate
	}
	conn, err := network.ListenPath(i, flow, probe.Questions())
	if err != nil {
		return PathFinding{}, err
	}
	answer, err := a.askPath(ctx, conn, probe)
	if err != nil {
		return PathFinding{}, err
	}
	if q.Service.Port() != 0 {
		a.metrics.paths[answer.Outcome].Inc()
	}
	return PathFinding{Answer: answer, Interface: i.Name, Source: source}, nil
}

// newPathTokens returns the limit on questions about paths.
func newPathTokens() *rate.Limiter { return rate.NewLimiter(pathRate, pathRate) }

// pathSource returns the interface that serves the address of the question, and the address to probe from: an address
// in the subnet of the Service's address, otherwise another address of the family.
func (a *Announcer) pathSource(q PathQuestion) (Interface, netip.Addr, bool) {
	l := a.layout.Load()
	if l == nil {
		return Interface{}, netip.Addr{}, false
	}
	addr := q.Service.Addr()
	var other Interface
	var otherSource netip.Addr
	for _, at := range l.serving(Target{Addr: addr, Interfaces: q.Interfaces}, nil) {
		i := l.links[at]
		if !i.Up {
			continue
		}
		for _, p := range i.Prefixes {
			switch source := p.Addr(); {
			case source.Is4() != addr.Is4() || source.IsLinkLocalUnicast():
			case p.Contains(addr):
				return i, source, true
			case !otherSource.IsValid():
				other, otherSource = i, source
			}
		}
	}
	return other, otherSource, otherSource.IsValid()
}

// askPath asks the questions of a probe and listens until its end. askPath closes conn.
func (a *Announcer) askPath(ctx context.Context, conn Conn, p *pathprobe.Probe) (pathprobe.Answer, error) {
	heard, failed := make(chan []byte, 64), make(chan error, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		readPath(conn, heard, failed)
	}()
	defer func() {
		conn.Close()
		<-done
	}()
	send := func(frames [][]byte) (err error) {
		for _, frame := range frames {
			if _, wrong := conn.Write(frame); wrong != nil {
				err = wrong
			}
		}
		return err
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			_ = send(p.Stop()) // the reason for the end counts
			return p.Answer(), ctx.Err()
		case err := <-failed:
			return p.Answer(), err
		case frame := <-heard:
			frames, over := p.Hear(time.Now(), frame)
			if err := send(frames); err != nil || over {
				return p.Answer(), err
			}
		case <-timer.C:
			if len(heard) > 0 {
				timer.Reset(0) // an answer that has arrived counts before the end of the wait
				continue
			}
			frames, next := p.Step(time.Now())
			if err := send(frames); err != nil || next.IsZero() {
				return p.Answer(), err
			}
			timer.Reset(time.Until(next))
		}
	}
}

// readPath passes the frames of a socket on until the socket is closed. A full channel loses frames: an answer and some
// errors fit.
func readPath(conn Conn, heard chan<- []byte, failed chan<- error) {
	b := make([]byte, frameSize)
	for {
		n, err := conn.Read(b)
		if err != nil {
			failed <- err
			return
		}
		select {
		case heard <- slices.Clone(b[:n]):
		default:
		}
	}
}
