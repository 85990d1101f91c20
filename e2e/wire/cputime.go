package wire

import (
	"context"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lanlord/lanlord/e2e/ether"
)

const (
	// userTicks is how often a second the kernel counts CPU time for /proc (USER_HZ, 100 on all architectures that Go runs on).
	userTicks = 100
	// ownershipChanges begins the lines of a speaker's metrics that count the changes of ownership.
	ownershipChanges = "lanlord_speaker_ownership_changes_total"
)

// counters returns the sums of the speakers' own counters, by name and labels.
func (l *Lab) counters(ctx context.Context) (map[string]float64, error) {
	sums := map[string]float64{}
	for i := range l.nodes {
		text, err := l.Get(ctx, i, "/metrics")
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(text) {
			at := strings.LastIndexByte(line, ' ')
			if at < 0 || !strings.HasPrefix(line, "lanlord_") || !strings.Contains(line[:at], "_total") {
				continue
			}
			value, err := strconv.ParseFloat(strings.TrimSpace(line[at:]), 64)
			if err != nil {
				return nil, fmt.Errorf("metric %q: %w", line, err)
			}
			sums[line[:at]] += value
		}
	}
	return sums, nil
}

func sortedKeys(m map[string]float64) []string { return slices.Sorted(maps.Keys(m)) }

// cpuTime returns the user and system time of the node's speaker so far, zero if none runs.
func (n *node) cpuTime() (user, system time.Duration) {
	if !n.running() {
		return 0, 0
	}
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.speaker.Process.Pid)) // without a process there is no time
	// After the name, which is in brackets, user and system time are the 12th and 13th field.
	i := strings.LastIndexByte(string(text), ')')
	fields := strings.Fields(string(text[i+1:]))
	if i < 0 || len(fields) < 13 {
		return 0, 0
	}
	ticks := func(s string) time.Duration {
		n, _ := strconv.Atoi(s) // the kernel writes numbers
		return time.Duration(n) * time.Second / userTicks
	}
	return ticks(fields[11]), ticks(fields[12])
}

// bareReader reads all frames that come to a node's LAN, as any process would, and throws them away.
type bareReader struct {
	fd     int
	closed atomic.Bool
	cpu    chan time.Duration
	total  time.Duration
}

// newBareReader starts one. If it answers, it sends a frame of the size of an answer to a station for each that it reads from that.
func newBareReader(n *node, to MAC, answers bool) (*bareReader, error) {
	eth0, err := n.link.LinkByName(interfaces[LAN])
	if err != nil {
		return nil, err
	}
	b := &bareReader{cpu: make(chan time.Duration, 1)}
	err = n.do(func() (err error) { b.fd, err = ether.Listen(eth0.Attrs().Index, unix.ETH_P_ALL); return err })
	if err != nil {
		return nil, fmt.Errorf("read beside the speaker of %s: %w", n.name, err)
	}
	const experimental = 0x88b5 // an EtherType that nobody listens to (IEEE 802, local experiments)
	answer := append(append(append(to[:], n.mac[:]...), experimental>>8, experimental&0xff), make([]byte, 46)...)
	go func() {
		runtime.LockOSThread() // whose time is counted, and which ends with this function
		frame := make([]byte, 2048)
		for !b.closed.Load() {
			size, err := unix.Read(b.fd, frame)
			if err == nil && answers && size > ether.HeaderSize && MAC(frame[6:]) == to {
				_, _ = unix.Write(b.fd, answer) // what cannot be sent is lost
			}
		}
		var used unix.Rusage
		_ = unix.Getrusage(unix.RUSAGE_THREAD, &used) // never fails
		_ = unix.Close(b.fd)
		b.cpu <- time.Duration(used.Utime.Nano() + used.Stime.Nano())
	}()
	return b, nil
}

// close ends it, and returns the CPU time that it took.
func (b *bareReader) close() time.Duration {
	if !b.closed.Swap(true) {
		b.total = <-b.cpu
	}
	return b.total
}
