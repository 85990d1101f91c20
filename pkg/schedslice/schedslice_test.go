package schedslice

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestAskForSlice(t *testing.T) {
	before, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if before.Policy != unix.SCHED_NORMAL || before.Runtime == 0 {
		t.Skipf("this kernel tells of no slices (policy %d)", before.Policy)
	}
	t.Cleanup(func() {
		if err := ask(time.Duration(before.Runtime)); err != nil {
			t.Error(err)
		}
	})
	if err := Ask(); err != nil {
		t.Fatal(err)
	}
	// The goroutine ends while its thread is locked, so the thread ends too. Each further goroutine therefore runs on
	// another existing thread or on a new thread.
	for range 20 {
		attr := make(chan *unix.SchedAttr)
		go func() {
			runtime.LockOSThread()
			a, err := unix.SchedGetAttr(0, 0)
			if err != nil {
				t.Error(err)
			}
			attr <- a
		}()
		if a := <-attr; a == nil || a.Runtime != uint64(slice) || a.Nice != before.Nice {
			t.Fatalf("a thread has %+v, want a slice of %v and nice %d", a, slice, before.Nice)
		}
	}
}
