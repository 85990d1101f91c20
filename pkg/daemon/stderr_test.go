package daemon

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestStuckLogHoldsNobodyUp writes far more than a pipe holds while nobody reads, and then reads the pipe.
func TestStuckLogHoldsNobodyUp(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	log := openStderr(writer)
	if log == io.Writer(writer) {
		t.Skip("a pipe cannot be opened anew here")
	}
	line := []byte(strings.Repeat("x", 1023) + "\n")
	start := time.Now()
	for range 300 { // a pipe holds 64 lines
		if n, err := log.Write(line); n != len(line) || err != nil {
			t.Fatalf("wrote %d bytes, error %v", n, err)
		}
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("300 lines that nobody reads took %v", took)
	}
	// A later reader gets whole lines, and a line with the number of dropped lines.
	if _, err := io.ReadFull(reader, make([]byte, 32*len(line))); err != nil {
		t.Fatal(err)
	}
	if _, err := log.Write([]byte("again\n")); err != nil {
		t.Fatal(err)
	}
	log.(*impatient).pipe.Close()
	writer.Close()
	rest, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(rest, []byte("dropped, since nobody read them\" lines=2")) || !bytes.HasSuffix(rest, []byte("\nagain\n")) {
		t.Errorf("the log ends with %q", rest[max(0, len(rest)-200):])
	}
}

// TestStderrThatIsAFile checks that openStderr returns a file unchanged.
func TestStderrThatIsAFile(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if openStderr(f) != io.Writer(f) {
		t.Error("a file was opened anew")
	}
}
