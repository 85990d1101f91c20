package wire

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// mostShown is how much of each log is shown, in bytes.
const mostShown = 4096

// WriteLogs writes the ends of the speakers' logs in a directory that was [Options.Logs].
func WriteLogs(w io.Writer, dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		return err
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "--- %s\n%s", filepath.Base(f), text[max(0, len(text)-mostShown):]); err != nil {
			return err
		}
	}
	return nil
}

// log returns what the speakers of the node have written, in the order of their starts.
func (n *node) log() (string, error) {
	var all []byte
	for i := range n.starts {
		text, err := os.ReadFile(filepath.Join(n.lab.options.Logs, fmt.Sprintf("%s.%d.log", n.name, i+1)))
		if err != nil {
			return "", err
		}
		all = append(all, text...)
	}
	return string(all), nil
}
