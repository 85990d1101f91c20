package daemon

import (
	"bufio"
	"context"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// startOver is the time after which a process has read the cluster, and needs the memory of its start no longer.
const startOver = 10 * time.Second

// GiveBack is a task that gives memory back to the kernel once, ten seconds after the start, and then waits until ctx
// ends. The start reads the whole cluster at once, and runs much code that never runs again: GiveBack returns the free
// pages of the heap, and takes the pages of the program's own file out of the process. The kernel keeps the pages of
// the file while no other process wants the memory, and maps a page again as soon as the process needs the page.
func GiveBack(ctx context.Context) error {
	timer := time.NewTimer(startOver)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
	}
	debug.FreeOSMemory()
	giveBackFile()
	<-ctx.Done()
	return ctx.Err()
}

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
