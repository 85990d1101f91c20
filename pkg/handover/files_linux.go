package handover

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	// maxControl is the greatest number of file descriptors in one control message of the kernel (SCM_MAX_FD in
	// net/scm.h).
	maxControl = 253
	// maxPending is the greatest number of received files that wait for the message that names them. The files of a
	// message never arrive after the first byte of the message. Therefore more files than one message can have are an
	// error of the other process.
	maxPending = maxControl
)

// errTruncated means that the kernel dropped files, because this process has no free file descriptors.
var errTruncated = errors.New("files were lost on the way: no file descriptor is free (RLIMIT_NOFILE)")

// inbox reads the bytes of a connection, and keeps the files that arrive with the bytes (SCM_RIGHTS, unix(7)).
type inbox struct {
	conn    *net.UnixConn
	control []byte

	mu    sync.Mutex // guards the fields below
	files []*os.File
	err   error // the reason why files are missing
	ended bool
}

func newInbox(conn *net.UnixConn) *inbox {
	return &inbox{conn: conn, control: make([]byte, unix.CmsgSpace(maxControl*4))}
}

// Read implements [io.Reader]. If files arrive, Read returns no bytes from beyond the message of the files.
func (i *inbox) Read(b []byte) (int, error) {
	n, size, flags, _, err := i.conn.ReadMsgUnix(b, i.control)
	if size > 0 || flags&unix.MSG_CTRUNC != 0 {
		i.receive(i.control[:size], flags&unix.MSG_CTRUNC != 0)
	}
	return max(n, 0), err // n is -1 if there is an error
}

// receive takes the files out of control messages.
func (i *inbox) receive(control []byte, truncated bool) {
	files, err := filesOf(control)
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.err != nil:
	case truncated:
		i.err = errTruncated
	case err != nil:
		i.err = err
	case len(i.files)+len(files) > maxPending:
		i.err = fmt.Errorf("more than %d files without a message", maxPending)
	}
	i.files = append(i.files, files...)
	if i.err != nil || i.ended {
		i.drop()
	}
}

// take returns the next n files. The caller closes the files.
func (i *inbox) take(n int) ([]*os.File, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.err != nil:
		return nil, i.err
	case n > len(i.files):
		i.err = fmt.Errorf("%d files are missing", n-len(i.files))
		i.drop()
		return nil, i.err
	}
	files := i.files[:n:n]
	i.files = i.files[n:]
	return files, nil
}

// end closes the files that were not taken, and the files that arrive later.
func (i *inbox) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.ended = true
	i.drop()
}

// drop closes all waiting files. The caller holds mu.
func (i *inbox) drop() {
	closeFiles(i.files)
	i.files = nil
}

// filesOf returns the files in control messages. If filesOf returns an error, all the files are closed.
func filesOf(control []byte) (files []*os.File, err error) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil, fmt.Errorf("control message: %w", err)
	}
	for _, m := range messages {
		if m.Header.Level != unix.SOL_SOCKET || m.Header.Type != unix.SCM_RIGHTS {
			continue
		}
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			closeFiles(files)
			return nil, fmt.Errorf("control message: %w", err)
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "handed over"))
		}
	}
	return files, nil
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// sendFiles writes a line. The first byte of the line carries the files. The kernel duplicates the descriptors, and
// this process keeps its own descriptors.
func sendFiles(conn *net.UnixConn, line []byte, files []*os.File) error {
	fds := make([]int, 0, len(files))
	for _, f := range files {
		// The method Fd would make the socket blocking for both processes.
		raw, err := f.SyscallConn()
		if err != nil {
			return fmt.Errorf("file of a session: %w", err)
		}
		if err := raw.Control(func(fd uintptr) { fds = append(fds, int(fd)) }); err != nil {
			return fmt.Errorf("file of a session: %w", err)
		}
	}
	var control []byte
	if len(fds) > 0 {
		control = unix.UnixRights(fds...)
	}
	n, _, err := conn.WriteMsgUnix(line, control, nil)
	for err == nil && n < len(line) {
		var more int
		more, err = conn.Write(line[n:])
		n += more
	}
	return err
}
