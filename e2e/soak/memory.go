package soak

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/lanlord/lanlord/e2e/wire"
)

// killLimit is how long the kernel may take to kill a process for want of memory.
const killLimit = 20 * time.Second

// eater takes twice as much memory each time.
const eater = `s=xxxxxxxxxxxxxxxx; while :; do s=$s$s; done`

// squeeze lets a speaker have less memory than it uses, so that the kernel takes its program's pages away, and reads them
// again from the disk, all the time. Where that is not enough it kills the speaker, which is started again as a kubelet would.
func squeeze(_ context.Context, r *namespaces, f Fault) (func() error, error) {
	c := r.cgroups[f.Node]
	before, err := c.kills()
	if err != nil {
		return nothing, err
	}
	end := func() error {
		if err := c.relieve(); err != nil {
			return err
		}
		after, err := c.kills()
		if err != nil || after == before || r.lab.Running(f.Node) {
			return err
		}
		r.Count(func(p *Report) { p.Killed++ })
		return r.lab.Start(f.Node, nil)
	}
	return end, c.squeeze()
}

// exhaust has another process take the memory of a speaker's cgroup, and the kernel kill the speaker for it.
func exhaust(ctx context.Context, r *namespaces, f Fault) (func() error, error) {
	c := r.cgroups[f.Node]
	before, err := c.kills()
	if err != nil {
		return nothing, err
	}
	// The kernel takes the speaker first.
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", r.lab.Process(f.Node)), []byte("1000"), 0); err != nil {
		return nothing, err
	}
	eats := exec.Command("sh", "-c", eater)
	err = c.enter(eats, r.speaker)
	if err == nil {
		err = c.exhaust()
	}
	if err == nil {
		err = r.lab.Host().Start(eats)
	}
	if err != nil {
		return c.relieve, err
	}
	for limit := time.Now().Add(killLimit); r.lab.Running(f.Node) && time.Now().Before(limit) && err == nil; {
		err = wire.Pause(ctx, 20*time.Millisecond)
	}
	_ = eats.Process.Kill() // the kernel may have
	_ = eats.Wait()         // "signal: killed"
	after, failed := c.kills()
	if err = errors.Join(err, failed); err == nil && (after == before || r.lab.Running(f.Node)) {
		r.Violate(time.Now(), fmt.Sprintf("oom: the kernel has killed no speaker within %v", killLimit))
	}
	return func() error {
		err := c.relieve()
		if r.lab.Running(f.Node) {
			err = errors.Join(err, r.stop(f.Node))
		}
		return errors.Join(err, r.lab.Start(f.Node, nil))
	}, err
}
