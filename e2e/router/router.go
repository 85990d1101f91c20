package router

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/lanlord/lanlord/e2e/wire"
)

// Kind is a router daemon.
type Kind int

// The router daemons.
const (
	FRR Kind = iota
	BIRD
	OpenBGPD
	GoBGP
)

// Kinds returns all of them.
func Kinds() []Kind { return []Kind{FRR, BIRD, OpenBGPD, GoBGP} }

// String returns the name.
func (k Kind) String() string { return [...]string{"FRR", "BIRD", "OpenBGPD", "GoBGP"}[k] }

// programs returns the programs that a daemon consists of, and the Debian package that has them.
func (k Kind) programs() (pkg string, programs []string) {
	switch k {
	case FRR:
		return "frr", []string{"/usr/lib/frr/zebra", "/usr/lib/frr/bfdd", "/usr/lib/frr/bgpd", "vtysh"}
	case BIRD:
		return "bird2", []string{"bird", "birdc"}
	case OpenBGPD:
		return "openbgpd", []string{"/usr/sbin/bgpd", "/usr/sbin/bgpctl"}
	default:
		return "gobgpd", []string{"gobgpd", "gobgp"}
	}
}

// Missing says what has to be installed for the daemon; empty for nothing.
func (k Kind) Missing() string {
	pkg, programs := k.programs()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			return fmt.Sprintf("%s is not installed: e2e/packages.sh %s", k, pkg)
		}
	}
	return ""
}

// HasKernel tells whether the daemon writes its routes into the kernel.
func (k Kind) HasKernel() bool { return k == FRR || k == BIRD }

// HasBFD tells whether the daemon has BFD, as Debian packages it.
func (k Kind) HasBFD() bool { return k == FRR || k == BIRD }

// Options say what a router is made of.
type Options struct {
	Kind Kind
	// Station is its number on the LAN, 4 to 9.
	Station int
	ASN     uint32
	// Address is a further address of the station, used for the sessions; not valid for none.
	Address netip.Addr
	// Neighbors are the peers. FRR, BIRD and OpenBGPD also dial the peers.
	Neighbors []Neighbor
}

// Neighbor is a peer in the configuration of the router, with both families.
type Neighbor struct {
	Address netip.Addr
	// Interface is the interface of an unnumbered session. Only FRR supports such a session here.
	Interface string
	ASN       uint32
	Password  string
	// HoldTime is 90 s if it is 0.
	HoldTime time.Duration
	// BFD is the interval of a BFD session with detection multiplier 3; 0 for none.
	BFD time.Duration
	// TTLSecurity has the router accept and send only packets with TTL 255 (RFC 5082).
	TTLSecurity bool
	// GracefulRestart has the router keep the routes of a restarting peer (RFC 4724).
	GracefulRestart bool
}

// Router is a running router. Several goroutines may call the methods.
type Router struct {
	*wire.Station
	Options
	// V4 and V6 are its addresses on the LAN.
	V4, V6 netip.Addr
	dir    string
	daemon daemon
	all    []*exec.Cmd
}

// daemon is implemented by each kind.
type daemon interface {
	// files returns the configuration and commands the programs to start, in this order.
	files() (map[string]string, [][]string)
	// sessions returns the sessions with all neighbours.
	sessions(context.Context) ([]Session, error)
	// paths returns the paths to a prefix, which may be none.
	paths(context.Context, netip.Prefix) ([]Path, error)
	// prefixes returns all prefixes of a family.
	prefixes(ctx context.Context, six bool) ([]netip.Prefix, error)
}

// Session is a session of a router with a neighbour.
type Session struct {
	Neighbor netip.Addr
	// State is the daemon's own word for the state.
	State       string
	Established bool
	// Since is the start of the established session, to the second or better; else zero.
	Since time.Time
	// Updates counts the UPDATE messages received from the neighbour since the start of the daemon; -1 when unknown.
	Updates int
	// HoldTime is the negotiated hold time, 0 when unknown.
	HoldTime time.Duration
	// BFD is the state of the BFD session in the daemon's own word, empty without one.
	BFD string
	// Why is the daemon's reason for the last end of the session, or empty.
	Why string
}

// Path is a path to a prefix.
type Path struct {
	// From is the announcing neighbour.
	From      netip.Addr
	NextHop   netip.Addr
	ASPath    []uint32
	MED       uint32
	HasMED    bool
	LocalPref uint32
	// Communities look like "64512:1", Large like "64512:1:2"; sorted.
	Communities, Large []string
	// Stale is true for a path of a restarting neighbour.
	Stale bool
}

// Start starts a router on the LAN of a laboratory, and returns when its daemon answers questions.
func Start(ctx context.Context, lab *wire.Lab, o Options) (*Router, error) {
	station, err := lab.NewStation(o.Station)
	if err != nil {
		return nil, err
	}
	return StartAt(ctx, station, o)
}

// StartAt starts a router on a station of the LAN, as [Start] does.
func StartAt(ctx context.Context, station *wire.Station, o Options) (*Router, error) {
	r := &Router{Station: station, Options: o}
	addresses := wire.StationAddresses(o.Station)
	r.V4, r.V6 = addresses[0].Addr(), addresses[1].Addr()
	switch o.Kind {
	case FRR:
		r.daemon = frr{r}
	case BIRD:
		r.daemon = bird{r}
	case OpenBGPD:
		r.daemon = openbgpd{r}
	case GoBGP:
		r.daemon = gobgp{r}
	}
	// Flows and not packets are spread over the next hops.
	for _, s := range []string{"ipv4/fib_multipath_hash_policy", "ipv6/fib_multipath_hash_policy"} {
		if err := r.Sysctl(s, "1"); err != nil {
			return nil, err
		}
	}
	if err := r.launch(ctx); err != nil {
		r.Close()
		return nil, fmt.Errorf("start %s: %w", o.Kind, err)
	}
	return r, nil
}

// launch writes the files and starts the programs. The programs of FRR change to the user frr, who gets the folder.
func (r *Router) launch(ctx context.Context) (err error) {
	if r.dir, err = os.MkdirTemp("", "router-"); err != nil {
		return err
	}
	files, commands := r.daemon.files()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	if r.Kind == FRR {
		if err := r.own("frr"); err != nil {
			return err
		}
	}
	for i, args := range commands {
		if err := r.run(args); err != nil {
			return err
		}
		if f, ok := r.daemon.(frr); ok {
			if err := f.begun(ctx, i); err != nil {
				return err
			}
		}
	}
	return r.answers(ctx)
}

func (r *Router) run(args []string) error {
	log, err := os.OpenFile(filepath.Join(r.dir, "log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	// The daemons write files named after their process numbers, and all laboratories have the same numbers.
	const alone = "mount --make-rprivate / && mount -t tmpfs tmpfs /var/tmp && mount -t tmpfs tmpfs /run && mkdir " + openbgpdHome + ` && exec "$@"`
	cmd := exec.Command("sh", append([]string{"-c", alone, "sh"}, args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := r.Start(cmd); err != nil {
		return err
	}
	r.all = append(r.all, cmd)
	return nil
}

// own gives the folder and its files to a user.
func (r *Router) own(name string) error {
	u, err := user.Lookup(name)
	if err != nil {
		return err
	}
	uid, _ := strconv.Atoi(u.Uid) // they are numbers on this system
	gid, _ := strconv.Atoi(u.Gid)
	paths, err := filepath.Glob(filepath.Join(r.dir, "*"))
	for _, p := range append(paths, r.dir) {
		if err == nil {
			err = os.Chown(p, uid, gid)
		}
	}
	return err
}

const startLimit = 20 * time.Second

// Await calls check until check returns nil, and returns the last error after a limit.
func Await(ctx context.Context, limit time.Duration, what string, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var last error
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err // an error of the ended context says less
		}
		if late := wire.Pause(ctx, 20*time.Millisecond); late != nil {
			return fmt.Errorf("%s: %w; last: %w", what, late, last)
		}
	}
}

// answers waits until the daemon answers.
func (r *Router) answers(ctx context.Context) error {
	err := Await(ctx, startLimit, "questions to "+r.Kind.String(), func(ctx context.Context) error {
		_, err := r.daemon.sessions(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("%w; log: %s", err, r.Log())
	}
	return nil
}

// Sessions returns the sessions with all neighbours.
func (r *Router) Sessions(ctx context.Context) ([]Session, error) { return r.daemon.sessions(ctx) }

// Session returns the session with a neighbour.
func (r *Router) Session(ctx context.Context, neighbor netip.Addr) (Session, error) {
	all, err := r.daemon.sessions(ctx)
	if err != nil {
		return Session{}, err
	}
	i := slices.IndexFunc(all, func(s Session) bool { return s.Neighbor.WithZone("") == neighbor })
	if i < 0 {
		return Session{}, fmt.Errorf("%s has no neighbour %s", r.Kind, neighbor)
	}
	return all[i], nil
}

// Paths returns the paths to a prefix, sorted by neighbour.
func (r *Router) Paths(ctx context.Context, p netip.Prefix) ([]Path, error) {
	paths, err := r.daemon.paths(ctx, p)
	for i := range paths {
		slices.Sort(paths[i].Communities)
		slices.Sort(paths[i].Large)
	}
	slices.SortFunc(paths, func(a, b Path) int { return a.From.Compare(b.From) })
	return paths, err
}

// Prefixes returns all prefixes of a family announced by the neighbours, sorted.
func (r *Router) Prefixes(ctx context.Context, six bool) ([]netip.Prefix, error) {
	all, err := r.daemon.prefixes(ctx, six)
	slices.SortFunc(all, netip.Prefix.Compare)
	return slices.Compact(all), err
}

// local returns the address that a neighbour speaks to.
func (r *Router) local(n Neighbor) netip.Addr {
	switch {
	case r.Options.Address.IsValid() && r.Options.Address.Is4() == n.Address.Is4():
		return r.Options.Address
	case n.Address.Is6():
		return r.V6
	default:
		return r.V4
	}
}

// path returns the path of a file in the router's folder.
func (r *Router) path(name string) string { return filepath.Join(r.dir, name) }

// Log returns the end of what the daemon has logged.
func (r *Router) Log() string {
	text, err := os.ReadFile(r.path("log"))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4096):])
}

// Kill ends the daemon at once. The kernel closes the connections and keeps the routes.
func (r *Router) Kill() {
	for _, cmd := range r.all {
		_ = cmd.Process.Kill() // fails only if it has ended
		_ = cmd.Wait()         // "signal: killed"
	}
	r.all = nil
}

// Close ends the daemon and removes the files. The station stays until the laboratory is closed.
func (r *Router) Close() {
	r.Kill()
	if r.dir != "" {
		_ = os.RemoveAll(r.dir) // a temporary folder
	}
}

// asJSON runs a program on the router and decodes what it prints.
func (r *Router) asJSON(ctx context.Context, into any, program string, args ...string) error {
	text, err := r.Output(ctx, program, args...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s %q: %w in %.200s", program, args, err, text)
	}
	return nil
}
