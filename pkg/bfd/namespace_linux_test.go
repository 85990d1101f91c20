package bfd

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// network is two network namespaces with a cable between them. Each end has eth0 with 192.0.2.N and fd00::N, where N is
// 1 for the end "a" and 2 for the end "b".
type network struct {
	tb     testing.TB
	prefix string
}

func newNetwork(tb testing.TB) *network {
	tb.Helper()
	if os.Getuid() != 0 {
		tb.Skip("network namespaces are made as root only")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		tb.Skip("the program ip is missing: install the Debian package iproute2")
	}
	n := &network{tb: tb, prefix: fmt.Sprintf("lanlord-bfd-%d-%d-", os.Getpid(), time.Now().UnixNano())}
	for _, end := range []string{"a", "b"} {
		if out, err := exec.Command("ip", "netns", "add", n.prefix+end).CombinedOutput(); err != nil {
			if strings.Contains(string(out), "not permitted") {
				tb.Skipf("network namespaces are forbidden here: %s", out)
			}
			tb.Fatalf("ip netns add: %v: %s", err, out)
		}
		tb.Cleanup(func() { _ = exec.Command("ip", "netns", "del", n.prefix+end).Run() })
	}
	n.ip("link add eth0 netns " + n.prefix + "a type veth peer name eth0 netns " + n.prefix + "b")
	for i, end := range []string{"a", "b"} {
		n.ip(fmt.Sprintf("-n %s%s addr add 192.0.2.%d/24 dev eth0", n.prefix, end, i+1))
		n.ip(fmt.Sprintf("-n %s%s addr add fd00::%d/64 dev eth0 nodad", n.prefix, end, i+1))
		n.ip(fmt.Sprintf("-n %s%s link set lo up", n.prefix, end))
		n.ip(fmt.Sprintf("-n %s%s link set eth0 addrgenmode none up", n.prefix, end))
		n.ip(fmt.Sprintf("-n %s%s addr add fe80::%d/64 dev eth0 nodad", n.prefix, end, i+1))
	}
	return n
}

func (n *network) ip(line string) {
	n.tb.Helper()
	if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
		n.tb.Fatalf("ip %s: %v: %s", line, err, out)
	}
}

// in calls f on a thread in the namespace of the end. The thread ends afterwards. Goroutines that f starts are
// elsewhere.
func (n *network) in(end string, f func()) {
	n.tb.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked, so that the thread is not used again
		err := enter("/run/netns/" + n.prefix + end)
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		n.tb.Fatalf("enter %s: %v", end, err)
	}
}

func enter(path string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Setns(fd, unix.CLONE_NEWNET)
}

// events collects the changes of a Monitor.
type events struct {
	mutex sync.Mutex
	list  []Status
	woken chan struct{}
}

func newEvents() *events { return &events{woken: make(chan struct{}, 1)} }

func (e *events) add(s Status) {
	e.mutex.Lock()
	e.list = append(e.list, s)
	e.mutex.Unlock()
	select {
	case e.woken <- struct{}{}:
	default:
	}
}

func (e *events) all() []Status {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	return append([]Status(nil), e.list...)
}
