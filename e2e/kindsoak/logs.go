package kindsoak

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lanlord/lanlord/e2e/wire"
)

// logs copies what Lanlord's containers log, for as long as their pods are there and a little longer.
type logs struct {
	dir string
	// open are the files that are being read, by their path below the node's root.
	open map[string]*logFile
}

type logFile struct{ from, to *os.File }

func newLogs(dir string) *logs { return &logs{dir: dir, open: make(map[string]*logFile)} }

// follow copies until ctx ends. roots are the nodes' file systems as this host sees them, by the nodes' names.
func (l *logs) follow(ctx context.Context, roots func() map[string]string) {
	for wire.Pause(ctx, time.Second) == nil {
		l.copy(roots())
	}
	l.copy(roots())
	for _, f := range l.open {
		f.close()
	}
}

func (l *logs) copy(roots map[string]string) {
	there := make(map[string]bool)
	for node, root := range roots {
		paths, _ := filepath.Glob(filepath.Join(root, "var/log/pods", systemNamespace+"_*", "*", "*.log")) // the pattern is a good one
		for _, path := range paths {
			key := node + strings.TrimPrefix(path, root)
			there[key] = true
			if l.open[key] == nil {
				l.begin(key, node, path)
			}
		}
	}
	for key, f := range l.open {
		// The end of a file that was removed is still there to be read.
		_, _ = io.Copy(f.to, f.from) // what cannot be read is as good as not logged
		if !there[key] {
			f.close()
			delete(l.open, key) // that of a node which comes back is copied anew
		}
	}
}

func (f *logFile) close() {
	_ = f.from.Close()
	_ = f.to.Close()
}

// begin opens a log, whose path ends with the pod's directory, the container and the number of its start.
func (l *logs) begin(key, node, path string) {
	from, err := os.Open(path)
	if err != nil {
		return // removed meanwhile
	}
	container := filepath.Dir(path)
	pod := strings.Split(filepath.Base(filepath.Dir(container)), "_")
	name := fmt.Sprintf("%s.%s.%s.%s", filepath.Base(container), node, pod[len(pod)-1][:8], filepath.Base(path))
	to, err := os.Create(filepath.Join(l.dir, name))
	if err != nil {
		_ = from.Close()
		return
	}
	l.open[key] = &logFile{from, to}
}
