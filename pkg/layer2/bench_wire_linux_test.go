package layer2

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The benchmarks on a wire measure an announcer in a separate process, and the responder of the kernel on the same
// interface.

// announcing starts a node that announces count addresses at an unlimited rate, and waits until the node answers for
// the last address.
func (c *cable) announcing(p *probe, count int) (*nodeProcess, []netip.Addr) {
	c.tb.Helper()
	n := c.start()
	n.tell("quiet")
	addrs := make([]netip.Addr, count)
	for i := range addrs {
		addrs[i] = addr4(10<<24 + uint32(i) + 1)
	}
	n.tell("rate 1000000")
	n.tell("ranges 10.0.0.0 10.255.255.255")
	n.tell(strings.Trim(fmt.Sprint(addrs), "[]"))
	p.ask(c.request(addrs[count-1]))
	return n, addrs
}

// direct makes the probe read and write past the scheduler of the Go runtime, so that a benchmark measures the node and
// not this process. No other goroutine of this process may be needed for an answer.
func (p *probe) direct() {
	p.write = writeAtOnce
	p.read = func(fd int, b []byte) (int, error) {
		n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
		if errno != 0 {
			return 0, errno
		}
		return int(n), nil
	}
}

// settled waits until all rounds of announcements are over.
func (p *probe) settled() {
	for silent := 0; silent < 2; silent++ { // of 2 s each
		for _, ok := p.receive(); ok; _, ok = p.receive() {
			silent = 0
		}
	}
}

// BenchmarkWireLatency asks for an address of the kernel and for an address of the announcer in turns, one question at
// a time.
func BenchmarkWireLatency(b *testing.B) {
	c := newCable(b)
	p := c.dial()
	_, addrs := c.announcing(p, 2000)
	p.settled()
	p.direct()
	kernel, ours := c.request(kernel4), c.request(addrs[1000])
	var kernels, our []time.Duration
	timed := func(request []byte) time.Duration {
		began := time.Now()
		p.ask(request)
		return time.Since(began)
	}
	for b.Loop() {
		kernels = append(kernels, timed(kernel))
		our = append(our, timed(ours))
		pause(100 * time.Microsecond) // lets the node sleep as on a quiet network
	}
	for _, q := range []struct {
		name string
		part float64
	}{{"p50", 0.5}, {"p99", 0.99}} {
		k, o := quantile(kernels, q.part), quantile(our, q.part)
		b.ReportMetric(k, "kernel-"+q.name+"-µs")
		b.ReportMetric(o, q.name+"-µs")
		b.ReportMetric(o-k, q.name+"-above-kernel-µs")
	}
}

// pause sleeps past the scheduler of the Go runtime.
func pause(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0)
}

// quantile returns a quantile in microseconds.
func quantile(list []time.Duration, part float64) float64 {
	list = slices.Sorted(slices.Values(list))
	return float64(list[int(part*float64(len(list)-1))]) / 1e3
}

// BenchmarkWireClosedLoop keeps 64 requests outstanding, in turns for an address of the kernel and for an address of the
// announcer. The rates and their ratio are medians over the turns, because a busy machine stretches some turns.
func BenchmarkWireClosedLoop(b *testing.B) {
	const outstanding, turn = 64, 5000
	c := newCable(b)
	p := c.dial()
	n, addrs := c.announcing(p, 2000)
	p.settled()
	p.direct()
	kernel, ours := c.request(kernel4), c.request(addrs[1000])
	rate := func(request []byte) float64 {
		began := time.Now()
		for range outstanding {
			p.send(request)
		}
		for i := range turn {
			if _, ok := p.receive(); !ok {
				b.Fatalf("answer %d is missing", i)
			}
			if i < turn-outstanding {
				p.send(request)
			}
		}
		return turn / time.Since(began).Seconds()
	}
	var kernels, our, ratios []float64
	var cpu time.Duration
	for b.Loop() {
		k, before := rate(kernel), n.cpu()
		o := rate(ours)
		cpu += n.cpu() - before
		kernels, our, ratios = append(kernels, k), append(our, o), append(ratios, o/k)
	}
	b.ReportMetric(median(kernels), "kernel-answers/s")
	b.ReportMetric(median(our), "answers/s")
	b.ReportMetric(median(ratios), "of-kernel")
	b.ReportMetric(float64(cpu)/1e3/turn/float64(len(our)), "cpu-µs/answer")
}

func median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}

// BenchmarkWireForeign sends 10,000 requests a second for foreign addresses to a node with 2,000 own addresses.
func BenchmarkWireForeign(b *testing.B) {
	c := newCable(b)
	p := c.dial()
	n, addrs := c.announcing(p, 2000)
	p.settled()
	for _, x := range []struct {
		name string
		addr netip.Addr
	}{{"outside-ranges", alien4}, {"inside-ranges", addrs[len(addrs)-1].Next()}} {
		b.Run(x.name, func(b *testing.B) {
			frame, frames := c.request(x.addr), 0.0
			before, next := n.cpu(), time.Now()
			for b.Loop() {
				for time.Now().Before(next) {
					runtime.Gosched()
				}
				p.send(frame)
				next = next.Add(100 * time.Microsecond)
				frames++
			}
			b.ReportMetric(float64(n.cpu()-before)/1e3/frames, "cpu-µs/frame")
		})
	}
}

// cpu returns the run time of all threads of the process.
func (n *nodeProcess) cpu() (sum time.Duration) {
	n.tb.Helper()
	for _, line := range n.tasks("schedstat") {
		if ran, _, ok := strings.Cut(line, " "); ok {
			ns, err := strconv.ParseInt(ran, 10, 64)
			if err != nil {
				n.tb.Fatal(err)
			}
			sum += time.Duration(ns)
		}
	}
	return sum
}

// resident returns the anonymous memory of the process.
func (n *nodeProcess) resident() int {
	n.tb.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.pid))
	if err != nil {
		n.tb.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			var kib int
			if _, err := fmt.Sscan(value, &kib); err != nil {
				n.tb.Fatal(err)
			}
			return kib
		}
	}
	n.tb.Fatal("no RssAnon")
	return 0
}

// BenchmarkWireAnnounce takes over 5,000 addresses and waits for both frames of each address.
func BenchmarkWireAnnounce(b *testing.B) {
	const count = 5000
	var set, sent []time.Duration
	memory := 0
	for b.Loop() {
		b.StopTimer()
		c := newCable(b)
		p, n := c.dial(), c.start()
		n.tell("rate 1000000")
		n.tell("ranges 10.0.0.0 10.255.255.255")
		empty := n.resident()
		addrs := make([]netip.Addr, count)
		for i := range addrs {
			addrs[i] = addr4(10<<24 + uint32(i) + 1)
		}
		line := strings.Trim(fmt.Sprint(addrs), "[]")
		b.StartTimer()
		began := time.Now()
		fmt.Fprintln(n.in, line)
		if err := n.in.Flush(); err != nil {
			b.Fatal(err)
		}
		seen := map[[4]byte]int{}
		var first time.Time
		for len(seen) < count || seen[addrs[count-1].As4()] < 2 {
			frame, ok := p.receive()
			if !ok {
				b.Fatalf("%d addresses announced", len(seen))
			}
			if first.IsZero() {
				first = time.Now()
			}
			seen[[4]byte(frame[arpSenderIP:])]++
		}
		set, sent = append(set, time.Since(began)), append(sent, time.Since(first))
		b.StopTimer()
		n.expect("set")
		memory = max(memory, n.resident()-empty)
		b.StartTimer()
	}
	b.ReportMetric(quantile(set, 0.5)/1e3, "set-to-last-ms")
	b.ReportMetric(quantile(sent, 0.5)/1e3, "first-to-last-ms")
	b.ReportMetric(float64(memory)/1024, "resident-MiB")
}
