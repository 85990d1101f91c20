package scale

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// load sums the CPU time and the context switches of the threads of a process, since the threads started. A switch takes
// a thread from a CPU, because the thread waits or because another thread runs.
type load struct {
	cpu      time.Duration
	switches int
}

// loadOf returns the load of a process. Threads that have ended are not counted; a Go program keeps its own.
func loadOf(pid int) (l load, err error) {
	if l.cpu, err = cpu(pid); err != nil {
		return l, err
	}
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // a thread that has just ended
		}
		for _, field := range []string{"\nvoluntary_ctxt_switches:", "\nnonvoluntary_ctxt_switches:"} {
			_, after, found := bytes.Cut(text, []byte(field))
			number, _, _ := bytes.Cut(after, []byte("\n"))
			n, err := strconv.Atoi(string(bytes.TrimSpace(number)))
			if err != nil || !found {
				return l, fmt.Errorf("%s says nothing of %s", file, field[1:])
			}
			l.switches += n
		}
	}
	return l, err
}

// since returns the load after an earlier load of the same process.
func (l load) since(before load) load { return load{l.cpu - before.cpu, l.switches - before.switches} }

// cpu returns how long the threads of a process have run. Threads that have ended are not counted; a Go program keeps its own.
func cpu(pid int) (time.Duration, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // a thread that has just ended
		}
		first, _, _ := bytes.Cut(text, []byte(" "))
		ns, err := strconv.ParseInt(string(first), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", file, err)
		}
		sum += time.Duration(ns)
	}
	if sum == 0 {
		return 0, fmt.Errorf("process %d has no threads", pid)
	}
	return sum, nil
}

// Memory is what of a process is resident, in bytes.
type Memory struct {
	// Now is all of it, Own what belongs to nobody else: not the pages of the program's file. Peak is the most that Now ever was.
	Now, Own, Peak int
}

// memory reads proc_pid_status(5).
func memory(pid int) (m Memory, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return m, err
	}
	for _, field := range []struct {
		name string
		to   *int
	}{{"VmRSS:", &m.Now}, {"RssAnon:", &m.Own}, {"VmHWM:", &m.Peak}} {
		_, rest, found := bytes.Cut(text, []byte("\n"+field.name))
		number, _, unit := bytes.Cut(bytes.TrimSpace(rest), []byte(" kB"))
		if *field.to, err = strconv.Atoi(string(number)); err != nil || !found || !unit {
			return m, fmt.Errorf("/proc/%d/status says nothing of %s", pid, field.name)
		}
		*field.to *= 1024
	}
	return m, nil
}
