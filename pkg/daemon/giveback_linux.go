package daemon

import "golang.org/x/sys/unix"

// forget takes the pages of a mapping out of this process (madvise(2), MADV_DONTNEED). A read of a page brings the page
// back from the file, so only mappings without own content may be forgotten.
func forget(m mapping) {
	_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.start, m.end-m.start, unix.MADV_DONTNEED) // pages that stay do no harm
}
