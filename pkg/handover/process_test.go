package handover

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"testing"
)

// placeEnv is the environment variable that makes this test binary hold the place of the given name until a signal
// kills the process.
const placeEnv = "LANLORD_TEST_PLACE"

func TestMain(m *testing.M) {
	if name := os.Getenv(placeEnv); name != "" {
		holdUntilKilled(name)
	}
	os.Exit(m.Run())
}

func holdUntilKilled(name string) {
	h, err := Listen(name, Options{})
	if err != nil {
		panic(err)
	}
	h.Set(place(7))
	if _, err := os.Stdout.WriteString("holding\n"); err != nil {
		panic(err)
	}
	panic(h.Serve(context.Background()))
}

// TestKilled kills a holder in another process. The follower has everything to become the holder at once.
func TestKilled(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	name := testName(t)
	holder := exec.Command(self)
	holder.Env = append(os.Environ(), placeEnv+"="+name)
	holder.Stderr = t.Output()
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = holder.Process.Kill(); _ = holder.Wait() }()
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	s := follow(t, name)
	o := s.next()
	if len(o.Place.Addrs) != 7 {
		t.Errorf("got %+v", o)
	}
	s.Answering(o)
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	s.ended(Vanished)
	// The kernel closes a dying process's sockets one after the other. Begin waits until the kernel has closed the
	// socket with the name.
	h, again, err := Begin(testContext(t), name, Options{})
	if err != nil || h == nil {
		t.Fatalf("Begin: %v, %v, %v, want a holder", h, again, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Serve(ctx); err != nil {
		t.Error(err)
	}
}
