package router

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"time"

	"github.com/lanlord/lanlord/e2e/wire"
)

func isClosed(err error) bool { return errors.Is(err, net.ErrClosed) }

// Capture is a running tcpdump.
type Capture struct {
	cmd  *exec.Cmd
	file string
}

// captured is the filter for BGP and BFD.
const captured = "tcp port 179 or udp port 3784 or udp port 4784"

// NewCapture begins to write the BGP and BFD packets on the LAN to a file.
func NewCapture(ctx context.Context, lab *wire.Lab, file string) (*Capture, error) {
	c := &Capture{file: file}
	err := lab.StartAtSwitch(func(bridge string) *exec.Cmd {
		c.cmd = tcpdump(bridge, file)
		return c.cmd
	})
	return c.begun(ctx, err)
}

// NewCaptureAt begins to write the BGP and BFD packets on all links of a host to a file.
func NewCaptureAt(ctx context.Context, host *wire.Station, file string) (*Capture, error) {
	c := &Capture{file: file, cmd: tcpdump("any", file)}
	return c.begun(ctx, host.Start(c.cmd))
}

func tcpdump(link, file string) *exec.Cmd {
	return exec.Command(
		"tcpdump",
		"-Z",
		"root",
		"-i",
		link,
		"-s",
		"0",
		"-U",
		"--immediate-mode",
		"-B",
		"16384",
		"-w",
		file,
		captured,
	)
}

// begun waits until tcpdump captures.
func (c *Capture) begun(ctx context.Context, err error) (*Capture, error) {
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		// tcpdump writes the header of the file after it opens the socket.
		if info, err := os.Stat(c.file); err == nil && info.Size() > 0 {
			return c, nil
		}
		if err := wire.Pause(ctx, 5*time.Millisecond); err != nil {
			c.Close()
			return nil, fmt.Errorf("tcpdump writes nothing: %w", err)
		}
	}
}

// Close ends the capture.
func (c *Capture) Close() {
	_ = c.cmd.Process.Kill() // each packet is in the file already
	_ = c.cmd.Wait()         // "signal: killed"
}

// Faults returns the malformed messages of BGP and BFD in a capture, and the warnings and errors of tshark about the
// messages. Only packets of some hosts count; without hosts all packets. packets counts them.
func Faults(ctx context.Context, file string, from []netip.Addr) (faults []string, packets int, err error) {
	out, err := exec.CommandContext(ctx, "tshark", "-r", file, "-Y", "bgp || bfd", "-T", "json", "-J", "ip ipv6 bgp bfd _ws.malformed", "--no-duplicate-keys").
		Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return nil, 0, fmt.Errorf("tshark: %w", err)
	}
	var all []struct {
		Source struct {
			Layers map[string]any `json:"layers"`
		} `json:"_source"`
	}
	if err := json.Unmarshal(out, &all); err != nil {
		return nil, 0, fmt.Errorf("tshark: %w", err)
	}
	for i, p := range all {
		source := sourceOf(p.Source.Layers)
		if len(from) > 0 && !slices.Contains(from, source) {
			continue
		}
		packets++
		for name, layer := range p.Source.Layers {
			if name == "_ws.malformed" {
				faults = append(faults, fmt.Sprintf("packet %d from %s is malformed: %v", i+1, source, layer))
			}
			if name == "bgp" || name == "bfd" {
				for _, m := range experts(layer) {
					faults = append(faults, fmt.Sprintf("packet %d from %s: %s", i+1, source, m))
				}
			}
		}
	}
	return faults, packets, nil
}

// sourceOf returns the source address of a packet.
func sourceOf(layers map[string]any) netip.Addr {
	for layer, field := range map[string]string{"ip": "ip.src", "ipv6": "ipv6.src"} {
		if fields, ok := layers[layer].(map[string]any); ok {
			text, _ := fields[field].(string)
			if a, err := netip.ParseAddr(text); err == nil {
				return a.WithZone("")
			}
		}
	}
	return netip.Addr{}
}

// experts returns the warnings and errors in a part of a packet.
func experts(tree any) (found []string) {
	switch t := tree.(type) {
	case []any:
		for _, one := range t {
			found = append(found, experts(one)...)
		}
	case map[string]any:
		severity, _ := t["_ws.expert.severity"].(string)
		if severity == "6291456" || severity == "8388608" { // PI_WARN and PI_ERROR
			found = append(found, fmt.Sprint(t["_ws.expert.message"]))
		}
		for _, one := range t {
			found = append(found, experts(one)...)
		}
	}
	return found
}
