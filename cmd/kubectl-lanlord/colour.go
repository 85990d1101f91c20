package main

import (
	"bytes"
	"io"
	"os"
	"runtime"

	"golang.org/x/term"

	"github.com/lanlord/lanlord/pkg/reason"
)

// The colours (ECMA-48, section 8.3.117).
const (
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	plain  = "\x1b[0m"
)

// hasColours reports whether out is a terminal that shows colours, and the user has not turned colours off
// (https://no-color.org).
func hasColours(out io.Writer, env func(string) string) bool {
	file, ok := out.(*os.File)
	if !ok || env("NO_COLOR") != "" || env("TERM") == "dumb" || env("TERM") == "" || runtime.GOOS == "windows" {
		return false
	}
	return term.IsTerminal(int(file.Fd()))
}

// painter passes text on, and colours the cells of tables that hold the word of a state. Only one goroutine may write.
type painter struct {
	to      io.Writer
	colours map[string]string
	// line holds the beginning of a line, until the end of the line is written.
	line []byte
}

func newPainter(to io.Writer) *painter {
	p := &painter{to: to, colours: map[string]string{
		"ok": green, "Announced": green, "Routed": green, "ready": green, "Established": green,
		"PROBLEM": red, "AddressConflict": red, "Disputed": red, "SessionDown": red, "FamilyRefused": red,
		"missing": red, "not ready": red,
		"REMARK": yellow, "UNCHECKED": yellow, "Pending": yellow, "Unknown": yellow, "Undecided": yellow, "unasked": yellow,
		"joining": yellow, "leaving": yellow, "<unknown>": yellow,
	}}
	for _, a := range reason.Assignments() {
		if a != reason.Assigned {
			p.colours[a.String()] = red
		}
	}
	for _, a := range reason.Announcements() {
		if a != reason.Announced && a != reason.NodeAddress {
			p.colours[a.String()] = red
		}
	}
	return p
}

// Write implements io.Writer.
func (p *painter) Write(b []byte) (int, error) {
	p.line = append(p.line, b...)
	end := bytes.LastIndexByte(p.line, '\n') + 1
	if end == 0 {
		return len(b), nil
	}
	var painted []byte
	for line := range bytes.Lines(p.line[:end]) {
		painted = p.paint(painted, line)
	}
	p.line = append([]byte(nil), p.line[end:]...)
	if _, err := p.to.Write(painted); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Flush writes a last line without an end.
func (p *painter) Flush() error {
	_, err := p.to.Write(p.line)
	p.line = nil
	return err
}

// paint appends a line with coloured cells. Two spaces or the end of the line end a cell.
func (p *painter) paint(to, line []byte) []byte {
	for len(line) > 0 {
		cell := line
		if end := bytes.Index(line, []byte("  ")); end >= 0 {
			cell = line[:end]
		} else if end := bytes.IndexByte(line, '\n'); end >= 0 {
			cell = line[:end]
		}
		gap := line[len(cell):]
		gap = gap[:len(gap)-len(bytes.TrimLeft(gap, " \n"))]
		if colour := p.colours[string(cell)]; colour != "" {
			to = append(append(append(to, colour...), cell...), plain...)
		} else {
			to = append(to, cell...)
		}
		to = append(to, gap...)
		line = line[len(cell)+len(gap):]
	}
	return to
}
