package bfd

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/lanlord/lanlord/pkg/bfd/wire"
	"github.com/lanlord/lanlord/pkg/schedslice"
)

var (
	busy     = flag.Duration("busy", 0, "how long TestRouters keeps two processors busy beside each router")
	interval = flag.Duration("interval", 300*time.Millisecond,
		"the interval of TestRouters; 50ms needs a machine that is not busy")
)

// three returns the profile of three of these intervals.
func three(interval time.Duration) Profile {
	return Profile{ReceiveInterval: interval, TransmitInterval: interval, DetectMultiplier: 3}
}

// router is a daemon with BFD at the end "b" of a network.
type router struct {
	name, program, config string
	start                 func(n *network, dir string) []*exec.Cmd
}

func routers() []router {
	return []router{{
		name: "FRR", program: "/usr/lib/frr/bfdd",
		config: `hostname b
bfd
 profile fast
  receive-interval INTERVAL
  transmit-interval INTERVAL
  detect-multiplier 3
 peer 192.0.2.1 local-address 192.0.2.2 interface eth0
  profile fast
 peer 192.0.2.1 multihop local-address 192.0.2.2
  profile fast
 peer fd00::1 local-address fd00::2 interface eth0
  profile fast
`,
		start: func(n *network, dir string) []*exec.Cmd {
			own := func(daemon string, more ...string) *exec.Cmd {
				args := []string{"netns", "exec", n.prefix + "b", "/usr/lib/frr/" + daemon, "-f", dir + "/conf", "-i",
					dir + "/" + daemon + ".pid",
					"-z", dir + "/zserv.api", "--vty_socket", dir, "--log", "file:" + dir + "/" + daemon + ".log"}
				return exec.Command("ip", append(args, more...)...)
			}
			return []*exec.Cmd{own("zebra"), own("bfdd", "--bfdctl", dir+"/bfdd.sock")}
		},
	}, {
		name: "BIRD", program: "/usr/sbin/bird",
		config: `router id 192.0.2.2;
protocol device { scan time 1; }
protocol direct { ipv4; ipv6; }
protocol bfd {
 interface "eth0" { min rx interval INTERVAL ms; min tx interval INTERVAL ms; idle tx interval 1 s; multiplier 3; };
 multihop { min rx interval INTERVAL ms; min tx interval INTERVAL ms; idle tx interval 1 s; multiplier 3; };
 neighbor 192.0.2.1 dev "eth0" local 192.0.2.2;
 neighbor fd00::1 dev "eth0" local fd00::2;
 neighbor 192.0.2.1 local 192.0.2.2 multihop on;
}
`,
		start: func(n *network, dir string) []*exec.Cmd {
			return []*exec.Cmd{exec.Command("ip", "netns", "exec", n.prefix+"b", "/usr/sbin/bird", "-f", "-c",
				dir+"/conf", "-s", dir+"/ctl",
				"-P", dir+"/pid")}
		},
	}}
}

// TestRouters has sessions with real routers: up, handed over, with another profile, cut, and captured for tshark. The
// time to notice a cut depends on the machine, so the test prints that time and bounds only what the machine cannot
// change.
func TestRouters(t *testing.T) {
	for _, r := range routers() {
		t.Run(r.name, func(t *testing.T) {
			if _, err := exec.LookPath(r.program); err != nil {
				t.Skipf("%s is not installed: install the Debian package frr or bird2", r.program)
			}
			n := newNetwork(t)
			stop := n.capture(t)
			n.startRouter(t, r)
			targets := []Target{}
			for _, kind := range []string{"IPv4", "IPv6"} {
				a, _ := pair(kind, false, three(*interval))
				targets = append(targets, a)
			}
			far, _ := pair("IPv4", true, three(*interval))
			far.Profile.MinimumTTL = 64
			targets = append(targets, far)
			if err := schedslice.Ask(); err != nil { // as the speaker does
				t.Log(err)
			}
			a := n.start(t, "a", targets, nil)
			a.await("up", up)
			a.await("fast", func(s Status) bool {
				return near(s.TransmitInterval, *interval) && near(s.DetectionTime/3, *interval)
			})
			a = n.handovers(t, a, targets)
			n.otherProfile(t, a, targets)
			n.cuts(t, a)
			if *busy > 0 {
				a.await("up and fast", func(s Status) bool { return up(s) && near(s.DetectionTime/3, *interval) })
				n.keepBusy(t, a, *busy)
			}
			a.end()
			stop()
		})
	}
}

// startRouter runs the daemons of r until the end of the test.
func (n *network) startRouter(t *testing.T, r router) {
	t.Helper()
	dir, err := os.MkdirTemp("", "bfd") // the path of a Unix socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil { // FRR runs as its own user
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "conf"), []byte(strings.ReplaceAll(r.config, "INTERVAL",
		fmt.Sprint(interval.Milliseconds()))), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, command := range r.start(n, dir) {
		out, err := os.Create(filepath.Join(t.ArtifactDir(), filepath.Base(command.Args[4])+".out"))
		if err != nil {
			t.Fatal(err)
		}
		command.Stdout, command.Stderr = out, out
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = command.Process.Kill()
			_ = command.Wait()
			_ = out.Close()
		})
		time.Sleep(500 * time.Millisecond) // the second daemon wants the socket of the first, and asks once a second otherwise
	}
}

// handovers passes the sessions on ten times. Neither end may go down.
func (n *network) handovers(t *testing.T, a *testMonitor, targets []Target) *testMonitor {
	t.Helper()
	var longest time.Duration
	for range 10 {
		begin := time.Now()
		detached := a.Detach()
		<-a.ended
		a = n.start(t, "a", targets, detached)
		a.await("adopted", up)
		longest = max(longest, time.Since(begin))
		time.Sleep(4 * *interval) // longer than the detection time: the router would have said Down
		if events := a.events.all(); len(events) > 0 {
			t.Errorf("the handover made changes: %+v", events)
		}
	}
	t.Logf("10 handovers of %d sessions, at most %v each", len(targets), longest)
	return a
}

// otherProfile makes the intervals longer by half and takes that back without a change of state.
func (n *network) otherProfile(t *testing.T, a *testMonitor, targets []Target) {
	t.Helper()
	before, begin := len(a.events.all()), time.Now()
	for _, interval := range []time.Duration{*interval * 3 / 2, *interval} {
		changed := slices.Clone(targets)
		for i := range changed {
			changed[i].Profile.TransmitInterval, changed[i].Profile.ReceiveInterval = interval, interval
		}
		a.Set(changed)
		a.await("at the new interval", func(s Status) bool {
			return up(s) && near(s.TransmitInterval, interval) && near(s.DetectionTime/3, interval)
		})
	}
	if events := a.events.all(); len(events) != before {
		t.Errorf("the profile made changes: %+v", events[before:])
	}
	t.Logf("the intervals changed to one and a half and back in %v", time.Since(begin))
}

// cuts takes the router's end of the cable down several times, and logs when the sessions go down.
func (n *network) cuts(t *testing.T, a *testMonitor) {
	t.Helper()
	var delays []time.Duration
	for range 5 {
		a.settle()
		a.await("up and fast", func(s Status) bool { return up(s) && near(s.DetectionTime/3, *interval) })
		known := len(a.events.all())
		begin := time.Now()
		n.ip("-n " + n.prefix + "b link set eth0 down")
		a.await("down", func(s Status) bool { return s.State == Down })
		for _, s := range a.events.all()[known:] {
			if s.State == Down && s.Diagnostic == wire.DetectionTimeExpired {
				delays = append(delays, s.Since.Sub(begin))
			}
		}
		n.ip("-n " + n.prefix + "b link set eth0 up")
		n.ip("-n " + n.prefix + "b addr replace fd00::2/64 dev eth0 nodad")
	}
	slices.Sort(delays)
	t.Logf("%d sessions noticed the cut after %v", len(delays), delays)
	if len(delays) < 10 || delays[len(delays)/2] > 5*time.Second {
		t.Errorf("too few or too late")
	}
}

// settle waits some seconds for the intervals of the profile. A process that is late does not reach them.
func (m *testMonitor) settle() {
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if !slices.ContainsFunc(m.Status(), func(s Status) bool { return s.DetectionTime != 3**interval }) {
			return
		}
	}
}

// keepBusy runs two processes that use all the time they get, and counts false alarms.
func (n *network) keepBusy(t *testing.T, a *testMonitor, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 2 {
		burner := exec.CommandContext(ctx, "sh", "-c", "while :; do :; done")
		if err := burner.Start(); err != nil {
			t.Fatal(err)
		}
		defer burner.Wait()
	}
	before := len(a.events.all())
	stretched := time.Duration(0)
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		for _, s := range a.Status() {
			stretched = max(stretched, s.TransmitInterval)
		}
	}
	cancel()
	var late strings.Builder
	families, err := a.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "lanlord_bfd_lateness_seconds" {
			h := f.GetMetric()[0].GetHistogram()
			fmt.Fprintf(&late, "%d samples", h.GetSampleCount())
			for _, b := range h.GetBucket() {
				fmt.Fprintf(&late, ", %d <= %v", b.GetCumulativeCount(),
					time.Duration(b.GetUpperBound()*float64(time.Second)))
			}
		}
	}
	t.Logf("%v with two busy processors: greatest interval %v; lateness: %s", d, stretched, late.String())
	if events := a.events.all(); len(events) != before {
		t.Errorf("%d changes: %+v", len(events)-before, events[before:])
	}
	if text, err := testutil.GatherAndCount(a.registry, "lanlord_bfd_false_alarms_total"); err != nil || text == 0 {
		t.Errorf("no counter of false alarms: %v", err)
	}
}

// capture records all packets at the end "a". The returned function ends that and has tshark look for malformed
// packets.
func (n *network) capture(t *testing.T) func() {
	t.Helper()
	for _, program := range []string{"tcpdump", "tshark"} {
		if _, err := exec.LookPath(program); err != nil {
			return func() { t.Logf("%s is not installed: nobody judges the packets", program) }
		}
	}
	file := filepath.Join(t.ArtifactDir(), "bfd.pcap")
	dump := exec.Command("ip", "netns", "exec", n.prefix+"a", "tcpdump", "-i", "eth0", "-U", "-w", file, "udp")
	if err := dump.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(500 * time.Millisecond) // tcpdump opens its socket
	t.Cleanup(func() { _ = dump.Process.Kill() })
	count := func(filter string) int {
		out, err := exec.Command("tshark", "-r", file, "-Y", filter, "-T", "fields", "-e", "frame.number").Output()
		if err != nil {
			t.Errorf("tshark %q: %v", filter, err)
		}
		return strings.Count(string(out), "\n")
	}
	return func() {
		_ = dump.Process.Signal(os.Interrupt)
		_ = dump.Wait()
		all, bad := count("bfd"), count("bfd && (_ws.malformed || _ws.expert.severity >= 0x600000)")
		ours := count("bfd && (ip.src == 192.0.2.1 || ipv6.src == fd00::1)")
		wrong := count("bfd && (ip.src == 192.0.2.1 && (ip.ttl != 255 || ip.dsfield.dscp != 48 || udp.srcport < 49152) || ipv6.src == fd00::1 && (ipv6.hlim != 255 || ipv6.tclass.dscp != 48 || udp.srcport < 49152))")
		t.Logf("tshark: %d packets, %d of them ours, %d malformed or with a warning, %d with another TTL, class or port", all, ours, bad, wrong)
		if ours == 0 || ours == all || bad > 0 || wrong > 0 {
			t.Error("the packets are not as they should be")
		}
	}
}
