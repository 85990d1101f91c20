package daemon

import (
	"io/fs"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// memoryFiles hold the memory limit of a container, in bytes, for version 2 and version 1 of control groups.
var memoryFiles = []string{"sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"}

// memoryPart is the part of the container's memory limit from which on the garbage collector works harder, in percent.
// The kernel ends a process at 100 percent.
const memoryPart = 90

// limitMemory passes the memory limit of the container, which is below root, to Go's runtime, unless the environment
// variable GOMEMLIMIT is set.
func limitMemory(root fs.FS) {
	if _, set := os.LookupEnv("GOMEMLIMIT"); set {
		return
	}
	if limit, is := containerMemory(root); is {
		debug.SetMemoryLimit(limit / 100 * memoryPart)
	}
}

// containerMemory returns the memory limit of the container in bytes, and false if there is none.
func containerMemory(root fs.FS) (limit int64, is bool) {
	for _, file := range memoryFiles {
		text, err := fs.ReadFile(root, file)
		if err != nil {
			continue // this version of control groups is not in use
		}
		// Without a limit, version 2 says "max", and version 1 a number close to the largest one.
		limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		return limit, err == nil && limit > 0 && limit < 1<<60
	}
	return 0, false
}
