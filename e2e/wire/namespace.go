package wire

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// namespace is a network namespace that exists as long as this value is open, and processes in it live.
type namespace struct {
	fd netns.NsHandle
	// link changes what is in the namespace, from any thread.
	link *netlink.Handle
	work chan func()
}

// newNamespace makes a namespace and a thread in it.
func newNamespace() (*namespace, error) {
	n := &namespace{work: make(chan func())}
	made := make(chan error, 1)
	go n.run(made, func() (err error) {
		if err = unix.Unshare(unix.CLONE_NEWNET); err == nil {
			n.fd, err = netns.GetFromPath("/proc/thread-self/ns/net")
		}
		return err
	})
	if err := <-made; err != nil {
		return nil, fmt.Errorf("make a network namespace: %w", err)
	}
	err := n.do(func() (err error) {
		// Addresses are usable at once: nobody else takes them here.
		for _, path := range []string{"default", "all"} {
			if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+path+"/accept_dad", []byte("0"), 0o644); err != nil {
				return err
			}
		}
		n.link, err = netlink.NewHandleAt(n.fd)
		return err
	})
	if err == nil {
		var lo netlink.Link
		if lo, err = n.link.LinkByName("lo"); err == nil {
			err = n.link.LinkSetUp(lo)
		}
	}
	if err != nil {
		n.close()
		return nil, fmt.Errorf("set up a network namespace: %w", err)
	}
	return n, nil
}

// run enters the namespace and runs what do is given. The thread is never unlocked, so it ends with this function, and no other
// goroutine gets it; meanwhile it lives, as the processes that it starts die with it.
func (n *namespace) run(made chan<- error, enter func() error) {
	runtime.LockOSThread()
	err := enter()
	made <- err
	if err != nil {
		return
	}
	for f := range n.work {
		f()
	}
}

// do calls f on the thread in the namespace. Sockets that f opens and processes that it starts stay there.
func (n *namespace) do(f func() error) error {
	done := make(chan error, 1)
	n.work <- func() { done <- f() }
	return <-done
}

// start starts a process in the namespace, which is killed when the namespace is closed or this process ends. A root
// directory that the caller has set stays.
func (n *namespace) start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	cmd.SysProcAttr.Setpgid = true // the terminal's Ctrl-C is for us alone
	return n.do(cmd.Start)
}

// contain starts a program in the namespace that may fork, change its user or end its parent: all its processes are killed with the
// process of cmd, which is their first. The kernel forgets who is to die with its parent when that changes its user. What the program
// mounts is for itself.
func (n *namespace) contain(cmd *exec.Cmd) error {
	program, args := cmd.Path, cmd.Args[1:]
	shell, err := exec.LookPath("sh")
	if err != nil {
		return err
	}
	// The shell is not replaced by the program, since it has a command to run after it.
	cmd.Path, cmd.Args = shell, append([]string{"sh", "-c", `"$@"; exit $?`, "sh", program}, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true, Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	return n.do(cmd.Start)
}

// sysctl sets what is below /proc/sys/net.
func (n *namespace) sysctl(name, value string) error {
	return n.do(func() error { return os.WriteFile("/proc/sys/net/"+name, []byte(value), 0o644) })
}

// close ends the thread, and kills the processes that it started. It is called once.
func (n *namespace) close() {
	if n.link != nil {
		n.link.Close()
	}
	close(n.work)
	_ = n.fd.Close() // fails only if it was never open
}
