package soak

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Usage is what a process uses at a moment.
type Usage struct {
	At time.Duration
	// Process is its number: another one is another process.
	Process int
	// RSS and Heap are in bytes; Heap is what Go has in use.
	RSS, Heap float64
	// Files are all descriptors, Sockets those of them that are sockets; Series are the lines of /metrics.
	Files, Sockets, Goroutines, Series int
}

// measure reads what the system knows of a process, and its metrics by get.
func measure(ctx context.Context, pid int, get func(context.Context) (string, error)) (Usage, error) {
	u := Usage{Process: pid}
	dir := fmt.Sprintf("/proc/%d", pid)
	statm, err := os.ReadFile(filepath.Join(dir, "statm"))
	if err != nil {
		return u, err
	}
	if fields := strings.Fields(string(statm)); len(fields) > 1 {
		pages, _ := strconv.Atoi(fields[1]) // the kernel wrote a number
		u.RSS = float64(pages * os.Getpagesize())
	}
	files, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		return u, err
	}
	for _, f := range files {
		target, err := os.Readlink(filepath.Join(dir, "fd", f.Name()))
		if err != nil {
			continue // closed meanwhile
		}
		u.Files++
		if strings.HasPrefix(target, "socket:") {
			u.Sockets++
		}
	}
	text, err := get(ctx)
	if err != nil {
		return u, err
	}
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		u.Series++
		name, value, _ := strings.Cut(lines.Text(), " ")
		number, _ := strconv.ParseFloat(value, 64) // those below are numbers
		switch name {
		case "go_goroutines":
			u.Goroutines = int(number)
		case "go_memstats_heap_inuse_bytes":
			u.Heap = number
		}
	}
	return u, lines.Err()
}

// warmUp is how long a process may take to use what it needs, and leastWatched how long it must have been watched after that
// for its memory to be judged.
const (
	warmUp       = time.Minute
	leastWatched = 4 * time.Minute
	// slack is by how many bytes, beside a quarter, memory may differ.
	slack = 4e6
)

// leaks tells what a process uses more of in the end than after its warm-up. samples are of one process, in the order of time,
// the last ones of a time without faults.
func leaks(samples []Usage) (found []string) {
	var warm []Usage
	for _, u := range samples {
		if u.At-samples[0].At >= warmUp {
			warm = append(warm, u)
		}
	}
	if len(warm) < 8 {
		return nil
	}
	early, late := warm[:len(warm)/2], warm[len(warm)-2:]
	for _, what := range []struct {
		name  string
		value func(Usage) int
		more  int
	}{
		{"goroutines", func(u Usage) int { return u.Goroutines }, 10},
		{"files", func(u Usage) int { return u.Files }, 5},
		{"sockets", func(u Usage) int { return u.Sockets }, 5},
		{"series", func(u Usage) int { return u.Series }, 60},
	} {
		// The most of the first half is what it needs under faults; the least of the last samples is what it does not let go of.
		was, is := 0, 1<<62
		for _, u := range early {
			was = max(was, what.value(u))
		}
		for _, u := range late {
			is = min(is, what.value(u))
		}
		if is > was+what.more {
			found = append(found, fmt.Sprintf("%d %s in the end, at most %d in the first half", is, what.name, was))
		}
	}
	if warm[len(warm)-1].At-warm[0].At < leastWatched {
		return found
	}
	for _, what := range []struct {
		name  string
		value func(Usage) float64
	}{
		{"resident", func(u Usage) float64 { return u.RSS }},
		{"heap", func(u Usage) float64 { return u.Heap }},
	} {
		was, is := median(warm[:len(warm)/3], what.value), median(warm[len(warm)-len(warm)/3:], what.value)
		if is > was*1.25+slack {
			found = append(found, fmt.Sprintf("%.1f MB %s memory in the last third, %.1f MB in the first", is/1e6, what.name, was/1e6))
		}
	}
	return found
}

func median(samples []Usage, value func(Usage) float64) float64 {
	values := make([]float64, len(samples))
	for i, u := range samples {
		values[i] = value(u)
	}
	slices.Sort(values)
	return values[len(values)/2]
}
