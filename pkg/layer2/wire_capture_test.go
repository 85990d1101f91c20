package layer2_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// capture records the frames on one interface of a kernelWire, from the creation of the capture on.
type capture struct {
	t    *testing.T
	w    *kernelWire
	file string
}

// capture starts to record all frames on eth0 in a namespace.
func (w *kernelWire) capture(ns string) *capture {
	w.t.Helper()
	c := &capture{t: w.t, w: w, file: filepath.Join(w.t.TempDir(), ns+".pcap")}
	file, err := os.Create(c.file)
	if err != nil {
		w.t.Fatal(err)
	}
	said := newOutput()
	cmd := w.command(ns, "tcpdump", "-U", "-w", "-", "-i", "eth0")
	cmd.Stdout, cmd.Stderr = file, said
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		file.Close()
		if w.t.Failed() {
			out, _ := exec.Command("tshark", "-n", "-r", c.file).CombinedOutput()
			w.t.Logf("%s saw:\n%.8000s", ns, out)
		}
	})
	w.eventually("line of tcpdump's that says listening", func() bool { return said.count("listening on") > 0 })
	return c
}

// fields returns, for each frame that the display filter passes, the values of the fields as tshark reads them.
func (c *capture) fields(filter string, names ...string) [][]string {
	c.t.Helper()
	args := []string{"-n", "-r", c.file, "-o", "ip.check_checksum:TRUE", "-Y", filter, "-T", "fields", "-E", "separator=|", "-E", "occurrence=a"}
	for _, name := range names {
		args = append(args, "-e", name)
	}
	cmd := exec.Command("tshark", args...)
	said := newOutput()
	cmd.Stderr = said
	out, err := cmd.Output()
	// A half-written frame is no failure: the next call reads the frame.
	if err != nil && said.count("cut short") == 0 {
		c.t.Fatalf("tshark: %v: %s", err, said)
	}
	var all [][]string
	for line := range strings.Lines(string(out)) {
		all = append(all, strings.Split(strings.TrimSuffix(line, "\n"), "|"))
	}
	return all
}

// await waits until a frame passes the filter.
func (c *capture) await(what, filter string) {
	c.t.Helper()
	c.w.eventually(what, func() bool { return len(c.fields(filter, "frame.number")) > 0 })
}

// judge waits for frames that pass the filter, and requires every value, given as "field=value", in each frame.
func (c *capture) judge(what, filter string, want ...string) {
	c.t.Helper()
	c.await(what, filter)
	names := make([]string, len(want))
	for i, w := range want {
		names[i], _, _ = strings.Cut(w, "=")
	}
	for _, got := range c.fields(filter, names...) {
		for i, name := range names {
			if is := name + "=" + got[i]; is != want[i] {
				c.t.Errorf("%s: tshark reads %s, want %s", what, is, want[i])
			}
		}
	}
	if bad := c.fields("("+filter+") && (_ws.malformed || _ws.expert.severity >= warning)", "_ws.expert.message"); len(bad) > 0 {
		c.t.Errorf("%s: tshark complains: %q", what, slices.Concat(bad...))
	}
}

// send sends a frame from eth0 in a namespace.
func (w *kernelWire) send(ns string, frame []byte) {
	w.t.Helper()
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := w.command(ns, self)
	cmd.Env = append(os.Environ(), roleVariable+"=send", fmt.Sprintf("%s=%x", frameVariable, frame))
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("send from %s: %v: %s", ns, err, out)
	}
}

// tell writes a line to the node's standard input.
func (w *kernelWire) tell(line string) {
	w.t.Helper()
	if _, err := fmt.Fprintln(w.in, line); err != nil {
		w.t.Fatal(err)
	}
}
