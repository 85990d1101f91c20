package wire_test

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lanlord/lanlord/e2e/wire"
)

// roleEnv makes the test's binary a laboratory that waits to be killed, with the speaker that it names.
const roleEnv = "LANLORD_WIRE_TEST_SPEAKER"

func TestMain(m *testing.M) {
	if speaker := os.Getenv(roleEnv); speaker != "" {
		if err := waitToBeKilled(speaker); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// buildSpeaker builds the program once for each test that needs it; the second time it is in the cache.
func buildSpeaker(t *testing.T) string {
	t.Helper()
	switch {
	case testing.Short():
		t.Skip("takes minutes; this is -short")
	case os.Geteuid() != 0:
		t.Skip("network namespaces are made by root")
	}
	path := filepath.Join(t.TempDir(), "speaker")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./cmd/speaker")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the speaker: %v\n%s", err, out)
	}
	return path
}

// newLab makes a laboratory of three nodes, whose logs are shown if the test fails.
func newLab(t *testing.T, speaker string, v4, v6 int) *wire.Lab {
	t.Helper()
	return newLabWith(t, wire.Options{Speaker: speaker, IPv4: v4, IPv6: v6, Layer2: "failback: never"})
}

// newLabWith makes one with the options, of three nodes unless they say how many.
func newLabWith(t *testing.T, o wire.Options) *wire.Lab {
	t.Helper()
	o.Nodes, o.Logs = cmp.Or(o.Nodes, 3), t.TempDir()
	t.Cleanup(func() {
		if t.Failed() {
			if err := wire.WriteLogs(t.Output(), o.Logs); err != nil {
				t.Error(err)
			}
		}
	})
	lab, err := wire.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(lab.Close)
	return lab
}

// bounds are what a fault may do at most. Those of time are far above what is measured: a busy machine shall not fail the
// test, only a speaker that does not do its work.
type bounds struct {
	gap, empty time.Duration
	lost       int
	owners     int
	overlap    time.Duration
	moves      int
	// taken says that another node must take all that the owner had.
	taken bool
}

const (
	// detected is the time in which a crash is known and answered to.
	detected = 4 * time.Second
	// planned is the time that a handover may take.
	planned = 500 * time.Millisecond
	// any moves are allowed where two nodes may own an address until they hear of each other again.
	anyMoves = 1000
)

var limits = map[string]bounds{
	"crash":   {gap: detected, empty: detected, lost: 4000, owners: 1, overlap: planned, moves: 6, taken: true},
	"kill":    {gap: planned, empty: detected, lost: 100, owners: 1, overlap: planned, moves: 6, taken: true},
	"stop":    {gap: planned, empty: planned, lost: 100, owners: 1, overlap: planned, moves: 6, taken: true},
	"return":  {gap: planned, empty: planned, lost: 100, owners: 1, overlap: planned, moves: 6},
	"pause":   {gap: detected, empty: detected, lost: 4000, owners: 2, overlap: time.Second, moves: anyMoves, taken: true},
	"gossip":  {gap: planned, empty: planned, lost: 100, owners: 1, moves: 0},
	"lan":     {gap: detected, empty: detected, lost: 4000, owners: 2, overlap: 3 * time.Second, moves: anyMoves, taken: true},
	"both":    {gap: detected, empty: detected, lost: 8000, owners: 2, overlap: 3 * time.Second, moves: anyMoves, taken: true},
	"api-all": {gap: planned, empty: planned, lost: 100, owners: 1, moves: 0},
	"busy":    {gap: 3 * time.Second, empty: 3 * time.Second, lost: 3000, owners: 2, overlap: 3 * time.Second, moves: 12},
	"many":    {gap: detected, empty: detected, lost: 4000, owners: 1, overlap: planned, moves: 700, taken: true},
}

// check holds a result to the bounds.
func (b bounds) check(t *testing.T, r wire.Result) {
	t.Helper()
	t.Logf("%+v", r)
	if r.Gap > b.gap || r.Empty > b.empty || r.Lost > b.lost {
		t.Errorf("longest without an answer %v, with an empty neighbour table %v, %d pings lost; at most %v, %v, %d", r.Gap, r.Empty, r.Lost, b.gap, b.empty, b.lost)
	}
	if r.Owners < 1 || r.Owners > b.owners || r.Overlap > b.overlap || r.Moves > b.moves {
		t.Errorf("%d owners at once, for %v, %d moves; at most %d, %v, %d", r.Owners, r.Overlap, r.Moves, b.owners, b.overlap, b.moves)
	}
	if b.taken && (r.Owned == 0 || r.Taken != r.Owned || r.First <= 0 || r.Last < r.First) {
		t.Errorf("%d of %d addresses were taken over, the first after %v, the last after %v", r.Taken, r.Owned, r.First, r.Last)
	}
	if r.Sent < 1000 {
		t.Errorf("%d pings were sent, so nothing was measured", r.Sent)
	}
}

// TestFaults lets each fault happen once to one of three nodes.
func TestFaults(t *testing.T) {
	speaker := buildSpeaker(t)
	lab := newLab(t, speaker, 4, 2)
	for _, f := range wire.Faults() {
		limit, known := limits[f.Name]
		if !known {
			t.Errorf("the fault %s has no limits", f.Name)
			continue
		}
		here := lab
		if f.Many {
			here = newLab(t, speaker, 600, 0)
		}
		r, err := here.Round(t.Context(), f)
		if err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		limit.check(t, r)
		if f.Name == "crash" && r.Lost < 50 {
			t.Errorf("a crash cost %d pings: it did not happen, or nobody noticed that it did", r.Lost)
		}
	}
}

// TestEndsWithItsProcess kills a laboratory without a warning. No speaker outlives it, and the namespaces go with them.
func TestEndsWithItsProcess(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleEnv+"="+buildSpeaker(t), "TMPDIR="+t.TempDir())
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	processes := strings.Fields(line)
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // "signal: killed"
	if err != nil || len(processes) != 3 {
		t.Fatalf("speakers %q, %v, want three", processes, err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for _, pid := range processes {
		for alive(pid) {
			if time.Now().After(deadline) {
				t.Fatalf("process %s is still there", pid)
			}
			time.Sleep(10 * time.Millisecond) // the kernel tells nobody but the parent, which is gone
		}
	}
}

// alive tells whether a process runs: one whose parent has not asked for its end is a zombie.
func alive(pid string) bool {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(text), ") ")
	return !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X")
}

// waitToBeKilled makes a laboratory and tells the numbers of its speakers' processes once they have settled.
func waitToBeKilled(speaker string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	logs, err := os.MkdirTemp("", "wire-")
	if err != nil {
		return err
	}
	lab, err := wire.New(wire.Options{Speaker: speaker, Nodes: 3, IPv4: 1, Logs: logs})
	if err != nil {
		return err
	}
	defer lab.Close()
	if _, err := lab.Settle(ctx); err != nil {
		return err
	}
	fmt.Println(strings.Trim(fmt.Sprint(lab.Processes()), "[]"))
	<-ctx.Done()
	return nil
}
