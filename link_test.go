package lanlord_test

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestLinkerLeavesMethodsOut links the daemons as they are, and looks for what makes the linker keep every method of every type
// since it might be called by its name: html/template does, in our own code or in a library's.
func TestLinkerLeavesMethodsOut(t *testing.T) {
	for _, daemon := range []string{"controller", "speaker"} {
		var said bytes.Buffer
		build := exec.Command("go", "build", "-ldflags=-dumpdep", "-o", filepath.Join(t.TempDir(), daemon), "./cmd/"+daemon)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		build.Stderr = &said
		if err := build.Run(); err != nil {
			t.Fatalf("%v: %.2000s", err, said.String())
		}
		lines, main := bufio.NewScanner(&said), false
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			from, to, _ := strings.Cut(lines.Text(), " -> ")
			main = main || from == "main.main"
			if strings.Contains(to, "<ReflectMethod>") {
				t.Errorf("%s: %s uses %s, which looks methods up by their names: that is a quarter of the program", daemon, from, to)
			}
		}
		if err := lines.Err(); err != nil || !main {
			t.Errorf("the linker tells nothing of main.main of %s: %v", daemon, err)
		}
	}
}
