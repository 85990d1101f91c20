package vm

import (
	"fmt"
	"io"
	"path"
)

// The types of files in the mode of an entry.
const (
	modeFolder  = 0o040000
	modeRegular = 0o100000
	modeLink    = 0o120000
)

// archive writes the format newc of cpio, which the kernel unpacks: Documentation/driver-api/early-userspace/buffer-format.
type archive struct {
	w       io.Writer
	written int64
	inode   int
	folders map[string]bool
	err     error
}

func newArchive(w io.Writer) *archive { return &archive{w: w, folders: map[string]bool{}} }

// add adds a file with its folders. The path begins without a slash.
func (a *archive) add(name string, mode int, data []byte) {
	a.folder(path.Dir(name))
	a.entry(name, mode, data)
}

// link adds a symbolic link.
func (a *archive) link(name, target string) { a.add(name, modeLink|0o777, []byte(target)) }

// folder adds a folder and those above it, once.
func (a *archive) folder(name string) {
	if name == "." || a.folders[name] {
		return
	}
	a.folder(path.Dir(name))
	a.folders[name] = true
	a.entry(name, modeFolder|0o755, nil)
}

func (a *archive) entry(name string, mode int, data []byte) {
	a.inode++
	// The fields: inode, mode, uid, gid, links, mtime, size, device twice, device of a device file twice, length of the
	// name with its zero, checksum.
	header := fmt.Sprintf("070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		a.inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0)
	a.write([]byte(header + name + "\x00"))
	a.align()
	a.write(data)
	a.align()
}

func (a *archive) write(b []byte) {
	if a.err != nil {
		return
	}
	n, err := a.w.Write(b)
	a.written, a.err = a.written+int64(n), err
}

// align fills up to a multiple of four bytes.
func (a *archive) align() { a.write(make([]byte, (4-a.written%4)%4)) }

// close ends the archive, and returns the first error of all.
func (a *archive) close() error {
	a.entry("TRAILER!!!", 0, nil)
	return a.err
}
