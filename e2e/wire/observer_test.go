package wire

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/lanlord/lanlord/e2e/probe"
)

// TestObserver is at a host that it has not made: it asks from there, hears the kernel of another host answer, and connects to it.
func TestObserver(t *testing.T) {
	hosts, addrs := twoHosts(t)
	sleeper := exec.Command("sleep", "60")
	if err := hosts[0].start(sleeper); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sleeper.Wait() }) // it was killed
	t.Cleanup(func() { _ = sleeper.Process.Kill() })

	o, err := Observe(sleeper.Process.Pid, interfaces[LAN], func(a netip.Addr) bool { return a == addrs[1][0].Addr() || a == addrs[1][1].Addr() })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	seen := make(map[netip.Addr]MAC)
	for limit := time.Now().Add(20 * time.Second); len(seen) < 2; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("claims of %v alone", seen)
		}
		if err := o.Ask([]netip.Addr{addrs[1][0].Addr(), addrs[1][1].Addr()}); err != nil {
			t.Fatal(err)
		}
		for _, c := range o.Claims() {
			seen[c.Addr] = c.MAC
		}
	}
	if seen[addrs[1][0].Addr()] != seen[addrs[1][1].Addr()] {
		t.Errorf("one host answered as %v", seen)
	}

	var listener net.Listener
	if err := hosts[1].do(func() (err error) { listener, err = net.Listen("tcp", ":80"); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	for _, a := range addrs[1] {
		conn, err := o.Dial(t.Context(), "tcp", netip.AddrPortFrom(a.Addr(), 80).String())
		if err != nil {
			t.Fatal(err)
		}
		if from := conn.LocalAddr().(*net.TCPAddr).AddrPort().Addr(); from != addrs[0][0].Addr() && from != addrs[0][1].Addr() {
			t.Errorf("connected from %s", from)
		}
		conn.Close()
	}
}

// TestObserveNothing names what is missing.
func TestObserveNothing(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("network namespaces are joined by root")
	}
	for _, link := range []string{"none", "lo"} {
		if o, err := Observe(os.Getpid(), link, nil); err == nil {
			o.Close()
			t.Errorf("observes %s", link)
		}
	}
	if _, err := Observe(1<<30, "eth0", nil); err == nil {
		t.Error("observes a process that there is not")
	}
}

// twoHosts makes a LAN with two hosts, which have an address of each family.
func twoHosts(t *testing.T) (hosts []*namespace, addrs [][]netip.Prefix) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces are made by root")
	}
	h, err := newHub()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.close)
	hosts = make([]*namespace, 2)
	addrs = [][]netip.Prefix{
		{netip.MustParsePrefix("198.51.100.1/24"), netip.MustParsePrefix("2001:db8::1/64")},
		{netip.MustParsePrefix("198.51.100.2/24"), netip.MustParsePrefix("2001:db8::2/64")},
	}
	for i := range hosts {
		if hosts[i], err = newNamespace(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(hosts[i].close)
		if _, err := h.plug(hosts[i], LAN, addrs[i]...); err != nil {
			t.Fatal(err)
		}
	}
	return hosts, addrs
}

// TestAsk asks as the client of the cluster does: the kernel of another host answers, and nobody answers for
// an address without a host.
func TestAsk(t *testing.T) {
	hosts, addrs := twoHosts(t)
	link, err := hosts[1].link.LinkByName(interfaces[LAN])
	if err != nil {
		t.Fatal(err)
	}
	schedule := probe.Schedule{Count: 5, Interval: 200 * time.Millisecond, Wait: 500 * time.Millisecond}
	ask := func(addr netip.Addr) (report probe.Neighbours) {
		t.Helper()
		err := hosts[0].do(func() (err error) {
			report, err = probe.Ask(t.Context(), interfaces[LAN], addr, schedule)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return report
	}
	for _, p := range addrs[1] {
		report := ask(p.Addr())
		// The bridge may lose the first question, because its port has just been connected.
		if len(report.Answers) != 1 || report.Answers[0].MAC != link.Attrs().HardwareAddr.String() || report.Answers[0].Count > schedule.Count {
			t.Errorf("%s, want up to %d answers, all by %s", report, schedule.Count, link.Attrs().HardwareAddr)
		}
		if report := ask(p.Addr().Next()); len(report.Answers) > 0 {
			t.Errorf("%s, want none", report)
		}
	}
}
