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
