package wire

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"time"
)

// Options say what a laboratory is made of.
type Options struct {
	// Speaker is the path of the program.
	Speaker string
	// Nodes is how many there are, 2 to 200.
	Nodes int
	// IPv4 and IPv6 are how many addresses of each family are announced, up to 32,000, at least one together.
	IPv4, IPv6 int
	// Layer2 is what the configuration has below layer2 besides ping, as "refresh: 0s, rate: 1000".
	Layer2 string
	// Pool is what the configuration has below the pool besides its name and addresses, as "auto-assign: false".
	Pool string
	// Ping has the speakers answer pings too, beside the kernels: a client has two answers to each.
	Ping bool
	// LogLevel is the speakers'. Empty is info: at debug level they log every frame, which takes its time.
	LogLevel string
	// Logs is an existing directory for the speakers' logs, one file for each start.
	Logs string
	// Server is the API server, nil for one that only stands in for it. With one there are no Services but those that others
	// make: IPv4 and IPv6 are 0, and [Lab.Judge] says what is looked at.
	Server Server
	// Config is the whole configuration; empty for one pool with protocol layer2, to which the options above add. With a Config there
	// are no Services but those that the caller puts: IPv4 and IPv6 are 0.
	Config string
	// Local are further prefixes whose addresses are the nodes' own, as those of the pool are: addresses that are announced to routers.
	Local []netip.Prefix
	// Flags are further flags of the speakers.
	Flags []string
	// Unstarted leaves all speakers to [Lab.Start], so that the objects and the nodes can be changed before.
	Unstarted bool
	// Prepare changes the command of a node's speaker before each start; nil changes nothing. Nodes are counted from 0.
	Prepare func(number int, speaker *exec.Cmd) error
}

// Lab is a cluster with its judges. Its methods are called by one goroutine.
type Lab struct {
	options Options
	server  Server
	host    *Host
	http    *http.Client
	hub     *hub
	nodes   []*node
	sniffer *sniffer
	cached  *client
	empties *client
	addrs   []netip.Addr
	rounds  int
	// stations are the hosts that the caller has added.
	stations []*Station
	// wireOnly makes Settle judge by the LAN alone; see WireOnly.
	wireOnly bool
	// burners are the processes that keep the CPUs busy.
	burners []*exec.Cmd
}

// New makes a laboratory and starts all speakers, unless the options leave that to the caller. It does not wait for them;
// [Lab.Settle] does. Close removes it.
func New(o Options) (*Lab, error) {
	if o.Nodes < 2 || o.Nodes > mostNodes || max(o.IPv4, o.IPv6) > mostAddresses || min(o.IPv4, o.IPv6) < 0 ||
		(o.IPv4+o.IPv6 == 0) != (o.Server != nil || o.Config != "") {
		return nil, fmt.Errorf("no laboratory of %d nodes and %d + %d addresses", o.Nodes, o.IPv4, o.IPv6)
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("network namespaces are made by root")
	}
	o.LogLevel = cmp.Or(o.LogLevel, "info")
	l := &Lab{options: o, server: o.Server}
	if l.server == nil {
		l.server = NewScripted(o.Logs)
	}
	for _, step := range []func() error{l.makeHub, l.makeCluster, l.makeJudges, l.startSpeakers} {
		if err := step(); err != nil {
			l.Close()
			return nil, err
		}
	}
	return l, nil
}

// makeHub makes the switches, and the API server at one of them.
func (l *Lab) makeHub() (err error) {
	if l.hub, err = newHub(); err != nil {
		return err
	}
	at := host(api4, serverHost)
	if err := l.hub.link.AddrAdd(l.hub.bridge[API], address(at)); err != nil {
		return err
	}
	l.host = &Host{Addr: at.Addr(), hub: l.hub}
	l.http = &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: l.host.Dial}}
	return l.server.Start(l.host)
}

// makeCluster makes the nodes, and all objects.
func (l *Lab) makeCluster() error {
	err := l.server.Put(configuration(l.options), gossipSecret())
	for i := 0; i < l.options.Nodes && err == nil; i++ {
		var n *node
		if n, err = newNode(l, i); err == nil {
			l.nodes = append(l.nodes, n)
			err = l.server.Put(nodeObjects(n.name, n.number)...)
		}
	}
	if err == nil {
		err = meet(l.nodes)
	}
	for i := 0; i < l.options.IPv4+l.options.IPv6 && err == nil; i++ {
		addr := host(services4, i+1).Addr()
		if i >= l.options.IPv4 {
			addr = host(services6, i-l.options.IPv4+1).Addr()
		}
		l.addrs = append(l.addrs, addr)
		err = l.server.Put(serviceObjects(i, addr)...)
	}
	return err
}

// makeJudges makes the clients and the sniffer.
func (l *Lab) makeJudges() (err error) {
	if l.cached, err = newClient(l.hub, false, host(lan4, cachedHost), host(lan6, cachedHost)); err != nil {
		return err
	}
	if l.empties, err = newClient(l.hub, true, host(lan4, emptiesHost), host(lan6, emptiesHost)); err != nil {
		return err
	}
	return l.listen()
}

// listen makes the sniffer.
func (l *Lab) listen() (err error) {
	l.sniffer, err = newSniffer(l.hub.namespace, bridges[LAN], [2]netip.Addr{host(lan4, serverHost).Addr(), host(lan6, serverHost).Addr()},
		func(a netip.Addr) bool { return services4.Contains(a) || services6.Contains(a) })
	return err
}

func (l *Lab) startSpeakers() error {
	if l.options.Unstarted {
		return nil
	}
	for _, n := range l.nodes {
		if err := n.start(); err != nil {
			return err
		}
	}
	return nil
}

// Processes returns the numbers of the speakers' processes that run.
func (l *Lab) Processes() (pids []int) {
	for _, n := range l.nodes {
		if n.running() {
			pids = append(pids, n.speaker.Process.Pid)
		}
	}
	return pids
}

// Close kills the speakers and removes everything but the logs.
func (l *Lab) Close() {
	_ = idle(l, nil) // those that ended by themselves
	if l.sniffer != nil {
		l.sniffer.close()
	}
	for _, c := range []*client{l.cached, l.empties} {
		if c != nil {
			c.close()
		}
	}
	for _, s := range l.stations {
		s.namespace.close()
	}
	for _, n := range l.nodes {
		n.close()
	}
	l.server.Close()
	if l.hub != nil {
		l.hub.close()
	}
}
