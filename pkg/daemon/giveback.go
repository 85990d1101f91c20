package daemon

import (
	"bufio"
	"context"
	"io"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"
)

const (
	// startOver is the time after which a process has read the cluster, and needs the memory of its start no longer.
	startOver = 10 * time.Second
	// giveBackPause is the time between two looks at the heap after that.
	giveBackPause = 10 * time.Second
)

// GiveBack returns a task that gives memory back to the kernel ten seconds after the start, and after each period of work,
// until ctx ends. At the start and during work, like the creation of thousands of Services, a process needs much memory
// for a short time, and runs code that then does not run for a long time.
//
// GiveBack returns the free pages of the heap, which Go's runtime returns over many minutes, and takes the pages of the
// program's own file out of the process. The kernel keeps the pages of the file while no other process wants the memory,
// and maps a page again as soon as the process needs the page. All of this costs one garbage collection, so GiveBack
// waits for the first ten seconds without work.
//
// The task calls begin before each collection. begin must not block.
func GiveBack(begin func()) func(context.Context) error {
	return func(ctx context.Context) error { return giveBack(ctx, begin) }
}

func giveBack(ctx context.Context, begin func()) error {
	timer := time.NewTimer(startOver)
	defer timer.Stop()
	worked, before := true, uint64(0)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		timer.Reset(giveBackPause)
		now := readHeap()
		if before != 0 && now.works(before) {
			worked = true
		} else if worked {
			begin()
			debug.FreeOSMemory()
			giveBackFile()
			worked, now = false, readHeap()
		}
		before = now.allocated
	}
}

// heap describes the heap at one time, in bytes.
type heap struct {
	// allocated counts all objects since the start of the process. live is the size of the objects that the last
	// collection found in use.
	allocated, live uint64
}

// readHeap asks Go's runtime, which stops nothing for the answer.
func readHeap() heap {
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(samples)
	return heap{samples[0].Value.Uint64(), samples[1].Value.Uint64()}
}

// works reports whether the process has worked since the time at which it had allocated the given number of bytes, one
// giveBackPause before: whether the process has allocated half of what is live, which with gcPercent brings about a
// collection.
func (h heap) works(before uint64) bool { return h.allocated-before >= h.live*gcPercent/100 }

// giveBackFile takes the pages of the program's own file out of this process. Errors have no effect but that the pages
// stay.
func giveBackFile() {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer maps.Close()
	for _, m := range unwritten(maps, program) {
		forget(m)
	}
}

// mapping is a range of addresses from start up to but not including end.
type mapping struct{ start, end uintptr }

// unwritten reads a file like /proc/self/smaps (proc_pid_smaps(5)), and returns the mappings of a program's file that
// cannot be written to and have no page of their own, in memory or in the swap: the file has all of their content.
func unwritten(smaps io.Reader, program string) (found []mapping) {
	var current mapping
	own, clean := false, 0
	for lines := bufio.NewScanner(smaps); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) >= 5 && strings.Contains(fields[0], "-") {
			// start-end permissions offset device inode path
			own, clean = len(fields) == 6 && fields[5] == program && !strings.Contains(fields[1], "w"), 0
			current, own = parseMapping(fields[0], own)
			continue
		}
		if !own || len(fields) != 3 || fields[0] != "Anonymous:" && fields[0] != "Swap:" {
			continue
		}
		if fields[1] == "0" {
			clean++
		}
		if clean == 2 {
			found, own = append(found, current), false
		}
	}
	return found
}

// parseMapping reads two hexadecimal addresses like 00400000-01a3b000. It returns false if they are none, or if own is
// false.
func parseMapping(text string, own bool) (mapping, bool) {
	from, to, _ := strings.Cut(text, "-")
	start, err := strconv.ParseUint(from, 16, strconv.IntSize)
	if err != nil {
		return mapping{}, false
	}
	end, err := strconv.ParseUint(to, 16, strconv.IntSize)
	return mapping{uintptr(start), uintptr(end)}, own && err == nil && start < end
}
