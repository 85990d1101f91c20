package bfd

import "golang.org/x/sys/unix"

// raisePriority raises the priority of this thread as far as RLIMIT_NICE or CAP_SYS_NICE allow, and returns the nice
// value, which was usual before. Realtime scheduling is not tried: a flood of packets would then stop everything else
// on the processor.
func raisePriority(usual int) int {
	const least = -20
	candidates := []int{least}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NICE, &limit); err == nil {
		candidates = append(candidates, 20-int(min(limit.Cur, 40))) // see getrlimit(2)
	}
	for _, nice := range candidates {
		if nice < usual && setNice(nice) {
			return nice
		}
	}
	return usual
}

// setNice returns false when the kernel refuses.
func setNice(nice int) bool { return unix.Setpriority(unix.PRIO_PROCESS, 0, nice) == nil }

// niceValue returns the nice value of this thread, 0 if the kernel does not tell.
func niceValue() int {
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		return 0
	}
	return 20 - raw // the system call returns 1 to 40
}
