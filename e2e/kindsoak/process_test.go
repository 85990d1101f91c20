package kindsoak

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// TestFind finds a process by its program, and no probe, which is the same program.
func TestFind(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "soaked-program")
	text, err := os.ReadFile(shell)
	if err == nil {
		err = os.WriteFile(program, text, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	start := func(args ...string) int {
		cmd := exec.Command(program, append([]string{"-c", "read line"}, args...)...)
		stdin, err := cmd.StdinPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			stdin.Close()
			_ = cmd.Wait() // it had nothing to read
		})
		return cmd.Process.Pid
	}
	pid := start("run")
	start("probe", "ready")
	if got := find("soaked-program", ""); !slices.Equal(got, []int{pid}) {
		t.Errorf("found %v, want %d", got, pid)
	}
	if got := find("soaked-program", "the cgroup of no container"); len(got) > 0 {
		t.Errorf("found %v in a container that there is not", got)
	}
}

// TestLogs copies logs as they grow, also the end of one that is removed before it was read, and of a container that starts again.
func TestLogs(t *testing.T) {
	root, to := t.TempDir(), t.TempDir()
	container := filepath.Join(root, "var/log/pods", systemNamespace+"_speaker-abcde_0123456789", "speaker")
	if err := os.MkdirAll(container, 0o755); err != nil {
		t.Fatal(err)
	}
	create := func(name string) *os.File {
		f, err := os.Create(filepath.Join(container, name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	write := func(f *os.File, text string) {
		if _, err := io.WriteString(f, text); err != nil {
			t.Fatal(err)
		}
	}
	l, roots := newLogs(to), map[string]string{"node": root}
	first := create("0.log")
	write(first, "begins\n")
	l.copy(roots)
	write(first, "ends\n")
	write(create("1.log"), "again\n")
	if err := os.Remove(first.Name()); err != nil {
		t.Fatal(err)
	}
	l.copy(roots)
	if len(l.open) != 1 {
		t.Errorf("%d files are open, want that which is still there", len(l.open))
	}
	for name, want := range map[string]string{"speaker.node.01234567.0.log": "begins\nends\n", "speaker.node.01234567.1.log": "again\n"} {
		if got, err := os.ReadFile(filepath.Join(to, name)); string(got) != want {
			t.Errorf("%s is %q, want %q; %v", name, got, want, err)
		}
	}
}
