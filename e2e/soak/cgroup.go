package soak

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cgroup is a group of processes whose memory the kernel counts, and limits. A node's speaker is in one from before its first
// page, and has a copy of its program that nobody else maps, so that the program's pages are counted there too.
type cgroup struct {
	dir     string
	program string
	files   cgroupFiles
}

// cgroupFiles are the names that a version of the kernel's interface has for the same things.
type cgroupFiles struct {
	// root is where the controller of memory is mounted, probe a file that is there if it is.
	root, probe string
	// usage is in bytes. limit is the most that there may be, and squeeze what memory is reclaimed above; unlimited lifts them.
	usage, limit, squeeze, unlimited string
	// cached is the line of memory.stat that counts the pages of files.
	cached string
	// events has a line oom_kill.
	events string
}

var interfaces = []cgroupFiles{
	{"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "memory.limit_in_bytes", "memory.limit_in_bytes", "-1", "total_cache", "memory.oom_control"},
	{"/sys/fs/cgroup", "memory.stat", "memory.current", "memory.max", "memory.high", "max", "file", "memory.events"},
}

// newCgroups makes a cgroup for each of the nodes, with a copy of the program in dir. An error means that this machine lets nobody
// limit the memory of processes.
func newCgroups(nodes []string, program, dir string) (groups []*cgroup, err error) {
	for _, files := range interfaces {
		if _, err := os.Stat(filepath.Join(files.root, files.probe)); err != nil {
			continue
		}
		for _, name := range nodes {
			c, err := newCgroup(files, name, program, dir)
			if err != nil {
				closeCgroups(groups)
				return nil, err
			}
			groups = append(groups, c)
		}
		return groups, nil
	}
	return nil, errors.New("no cgroups that count memory are mounted below /sys/fs/cgroup")
}

func newCgroup(files cgroupFiles, name, program, dir string) (*cgroup, error) {
	c := &cgroup{
		dir: filepath.Join(files.root, fmt.Sprintf("lanlord-soak-%d-%s", os.Getpid(), name)), program: filepath.Join(dir, "speaker-"+name), files: files,
	}
	if err := os.Mkdir(c.dir, 0o755); err != nil {
		return nil, err
	}
	_, err := c.number(files.usage)
	if err == nil {
		err = copyUncached(c.program, program)
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// copyUncached copies a program, and leaves none of it in the page cache: a page is counted where it is first read.
func copyUncached(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = errors.Join(out.Sync(), unix.Fadvise(int(out.Fd()), 0, 0, unix.FADV_DONTNEED))
	}
	return errors.Join(err, out.Close())
}

// enter makes a command one that runs in the cgroup, and of the copy if it is of the program that was copied.
func (c *cgroup) enter(cmd *exec.Cmd, program string) error {
	shell, err := exec.LookPath("sh")
	if err != nil {
		return err
	}
	args := append([]string{cmd.Path}, cmd.Args[1:]...)
	if cmd.Path == program {
		args[0] = c.program
	}
	cmd.Path, cmd.Args = shell, append([]string{"sh", "-c", `echo $$ >"$0" && exec "$@"`, filepath.Join(c.dir, "cgroup.procs")}, args...)
	return nil
}

// squeeze takes away half of the memory that is used for files, and what is not used. With much less the speaker would be killed on
// a busy machine, as by exhaust.
func (c *cgroup) squeeze() error {
	usage, err := c.number(c.files.usage)
	if err != nil {
		return err
	}
	cached, err := c.line("memory.stat", c.files.cached)
	if err != nil {
		return err
	}
	// The kernel refuses what it cannot reclaim at once.
	for goal := usage - cached/2; ; goal += 1 << 20 {
		if err = c.write(c.files.squeeze, strconv.FormatInt(goal, 10)); err == nil || goal > usage {
			return err
		}
	}
}

// exhaust lets processes of the cgroup have no more than a little beyond what they use.
func (c *cgroup) exhaust() error {
	usage, err := c.number(c.files.usage)
	if err != nil {
		return err
	}
	return c.write(c.files.limit, strconv.FormatInt(usage+4<<20, 10))
}

// relieve lifts all limits.
func (c *cgroup) relieve() error {
	return errors.Join(c.write(c.files.squeeze, c.files.unlimited), c.write(c.files.limit, c.files.unlimited))
}

// kills is how many processes of the cgroup the kernel has killed for want of memory.
func (c *cgroup) kills() (int64, error) { return c.line(c.files.events, "oom_kill") }

func (c *cgroup) write(file, value string) error {
	return os.WriteFile(filepath.Join(c.dir, file), []byte(value), 0)
}

func (c *cgroup) number(file string) (int64, error) {
	text, err := os.ReadFile(filepath.Join(c.dir, file))
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
}

// line returns the number in the line of a file that begins with a word.
func (c *cgroup) line(file, word string) (int64, error) {
	text, err := os.ReadFile(filepath.Join(c.dir, file))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(strings.TrimSpace(line), " "); name == word {
			return strconv.ParseInt(value, 10, 64)
		}
	}
	return 0, fmt.Errorf("%s has no %s", filepath.Join(c.dir, file), word)
}

// close removes the cgroup, whose processes have been killed, and the copy. It waits a while for the last of them to be gone.
func (c *cgroup) close() {
	for range 50 {
		if err := os.Remove(c.dir); err == nil || errors.Is(err, os.ErrNotExist) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	_ = os.Remove(c.program) // it may not have been made
}

func closeCgroups(groups []*cgroup) {
	for _, c := range groups {
		c.close()
	}
}
