package layer2_test

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestScenarioOnTheWire(t *testing.T) {
	w := newKernelWire(t)
	w.start()
	scenario(t, w)
}

// TestWireAnnouncements checks the announcements and their times with tcpdump.
func TestWireAnnouncements(t *testing.T) {
	w := newKernelWire(t)
	w.start()
	w.eventually("line that says ready", func() bool { return w.log.count("ready\n") == 1 })
	w.eventually("usable link-local address", func() bool {
		state := w.run("node", "ip -o -6 addr show dev eth0 scope link")
		return state != "" && !strings.Contains(state, "tentative")
	})
	sniffed := newOutput()
	sniffer := w.command("client", "tcpdump", "-n", "-e", "-vv", "-tt", "-U", "-l", "-i", "eth0", "ether src "+w.mac().String()+" and (arp or icmp6)")
	sniffer.Stdout, sniffer.Stderr = sniffed, sniffed
	if err := sniffer.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = sniffer.Process.Signal(os.Interrupt)
		_ = sniffer.Wait()
		if t.Failed() {
			t.Logf("tcpdump saw:\n%s", sniffed)
		}
	}()
	w.eventually("line of tcpdump's that says listening", func() bool { return sniffed.count("listening on") > 0 })

	w.set(vip4, vip6)
	forms := map[string][]string{
		"gratuitous request": {"> ff:ff:ff:ff:ff:ff", "Request who-has 192.0.2.80 tell 192.0.2.80, length 46"},
		"gratuitous reply":   {"> ff:ff:ff:ff:ff:ff", "Reply 192.0.2.80 is-at " + w.mac().String() + ", length 46"},
		"advertisement":      {"> 33:33:00:00:00:01", "hlim 255", "> ff02::1: [icmp6 sum ok] ICMP6, neighbor advertisement", "tgt is 2001:db8::80, Flags [override]"},
	}
	for form, parts := range forms {
		// tcpdump breaks a line for IPv6 in two: all required parts are on one line.
		w.eventually("fifth "+form, func() bool { return len(sniffed.lines(parts...)) >= len(ndpTimes) })
		lines := sniffed.lines(parts...)
		if len(lines) != len(ndpTimes) {
			t.Errorf("%d frames of the form %s, want %d", len(lines), form, len(ndpTimes))
		}
		first := captureTime(t, lines[0])
		for i, line := range lines {
			at := captureTime(t, line) - first
			// A busy machine is late, and then delays the frames that follow; the tests in memory check the exact times.
			if want := ndpTimes[i].Seconds(); at < want-0.3 || at > want+20 {
				t.Errorf("%s %d after %.3f s, want %.1f s", form, i+1, at, want)
			}
		}
	}
	if n := len(sniffed.lines("destination link-address option (2), length 8 (1): " + w.mac().String())); n < len(ndpTimes) {
		t.Errorf("%d advertisements with the target link-layer option, want %d", n, len(ndpTimes))
	}
	w.eventually("report to the bridge for the solicited-node group", func() bool {
		return strings.Contains(w.run("bridge", "bridge mdb show"), "port p-node grp ff02::1:ff00:80 ")
	})
}

func captureTime(t *testing.T, line string) float64 {
	t.Helper()
	seconds, err := strconv.ParseFloat(strings.Fields(line)[0], 64)
	if err != nil {
		t.Fatalf("no time in %q: %v", line, err)
	}
	return seconds
}

// TestWireClaims makes arping and the kernel claim an announced address.
func TestWireClaims(t *testing.T) {
	w := newKernelWire(t)
	w.start()
	w.set(vip4, vip6)
	w.eventually("answer for "+vip6.String(), func() bool { _, ok := w.resolve(vip6); return ok })
	if lines := w.log.lines("heard"); len(lines) != 0 {
		t.Errorf("claims heard where nobody made one: %q", lines)
	}
	// Nobody answers a claim; arping counts the missing answer as a failure.
	if out, err := w.try("newcomer", "arping -U -c 1 -S 192.0.2.80 -i eth0 192.0.2.80"); err == nil {
		t.Errorf("a gratuitous request was answered: %s", out)
	}
	w.eventually("claim of "+vip4.String(), func() bool { return len(w.log.lines("heard 192.0.2.80", "eth0")) > 0 })
	w.run("newcomer", "sysctl -qw net.ipv6.conf.eth0.ndisc_notify=1")
	w.run("newcomer", "ip addr add 2001:db8::80/64 dev eth0 nodad")
	w.run("newcomer", "ip link set eth0 address 02:cc:00:00:00:01") // the kernel announces the change
	w.eventually("claim of "+vip6.String(), func() bool { return len(w.log.lines("heard 2001:db8::80 02:cc:00:00:00:01 eth0 advertisement")) > 0 })
}

// TestWireDuplicates uses arping to look for a second answering station.
func TestWireDuplicates(t *testing.T) {
	w := newKernelWire(t)
	w.start()
	w.set(vip4)
	w.eventually("answer for "+vip4.String(), func() bool { _, ok := w.resolve(vip4); return ok })
	if out, err := w.try("client", "arping -d -c 3 -W 0.1 -i eth0 192.0.2.80"); err != nil {
		t.Errorf("arping -d finds two stations: %s", out)
	}
	w.run("newcomer", "ip addr add 192.0.2.80/32 dev eth0")
	w.eventually("second station for arping -d, so that the silence before proves something", func() bool {
		_, err := w.try("client", "arping -d -c 3 -W 0.1 -i eth0 192.0.2.80")
		return err != nil
	})
}

// TestWireLateInterface brings an interface up while the announcer runs.
func TestWireLateInterface(t *testing.T) {
	w := newKernelWire(t)
	w.run("node", "ip link set eth0 down")
	w.start()
	w.set(vip4, vip6)
	w.eventually("receipt", func() bool { return w.log.count("set\n") > 0 })
	if _, ok := w.resolve(vip4); ok {
		t.Error("answered on an interface that is down")
	}
	w.run("node", "ip link set eth0 up")
	w.run("node", "ip addr replace 2001:db8::1/64 dev eth0")
	began := time.Now()
	for _, addr := range []netip.Addr{vip4, vip6} {
		w.eventually("answer for "+addr.String(), func() bool { _, ok := w.resolve(addr); return ok })
		t.Logf("%s is answered %v after the link came up", addr, time.Since(began))
	}
}

// TestWireManyGroups announces more IPv6 addresses than one socket can join groups for.
func TestWireManyGroups(t *testing.T) {
	const count = 5000
	w := newKernelWire(t)
	w.start()
	w.eventually("line that says ready", func() bool { return w.log.count("ready\n") == 1 })
	addrs := make([]netip.Addr, count)
	for i := range addrs {
		addrs[i] = netip.MustParseAddr(fmt.Sprintf("2001:db8::%x:%x", 1+i>>16, i&0xffff))
	}
	began := time.Now()
	w.set(addrs...)
	w.eventually("membership in all groups", func() bool {
		return strings.Count(w.run("node", "ip -6 maddr show dev eth0"), "ff02::1:ff") >= count
	})
	t.Logf("%d groups joined after %v", count, time.Since(began))
	for _, addr := range []netip.Addr{addrs[0], addrs[count-1]} {
		w.eventually("answer for "+addr.String(), func() bool { _, ok := w.resolve(addr); return ok })
	}
	w.set()
	w.eventually("end of all memberships", func() bool {
		return strings.Count(w.run("node", "ip -6 maddr show dev eth0"), "ff02::1:ff") < 10
	})
}

// TestWireWithoutCapability runs the announcer without the capability for opening a packet socket.
func TestWireWithoutCapability(t *testing.T) {
	w := newKernelWire(t)
	w.start("setpriv", "--bounding-set=-net_raw")
	const want = "open ARP socket on eth0: operation not permitted: the container needs the capability NET_RAW"
	w.eventually("line that says what is missing", func() bool { return len(w.log.lines(want)) > 0 })
	if n := len(w.log.lines(want)); n != 1 {
		t.Errorf("%d lines that say so, want one", n)
	}
}
