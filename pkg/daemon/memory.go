package daemon

import (
	"io/fs"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// memoryFiles lists the files with the memory limit of a container in bytes: version 2 of control groups, then version
// 1.
var memoryFiles = []string{"sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"}

// memoryPart is the percentage of the container's memory limit above which the garbage collector works harder. The
// kernel ends a process at 100 percent.
const memoryPart = 90

// limitMemory passes the memory limit of the container to Go's runtime, unless the environment variable GOMEMLIMIT is
// set. root is the root of the container's file system.
func limitMemory(root fs.FS) {
	if _, set := os.LookupEnv("GOMEMLIMIT"); set {
		return
	}
	if limit, is := containerMemory(root); is {
		debug.SetMemoryLimit(limit / 100 * memoryPart)
	}
}

// containerMemory returns the memory limit of the container in bytes. is is false if there is no limit.
func containerMemory(root fs.FS) (limit int64, is bool) {
	for _, file := range memoryFiles {
		text, err := fs.ReadFile(root, file)
		if err != nil {
			continue // this version of control groups is not in use
		}
		// Without a limit, version 2 has "max", and version 1 has a number close to the largest possible number.
		limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		return limit, err == nil && limit > 0 && limit < 1<<60
	}
	return 0, false
}
