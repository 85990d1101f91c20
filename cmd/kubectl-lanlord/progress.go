package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// patience is the time until progress tells a user what the command waits for.
const patience = 700 * time.Millisecond

// progress shows on a terminal what the command waits for, in one line that done removes. If standard error is not a
// terminal, progress shows nothing.
type progress struct {
	out io.Writer

	mu    sync.Mutex
	text  string
	shown bool
	timer *time.Timer
}

// newProgress returns a progress that writes to stderr if stderr is a terminal.
func newProgress(stderr io.Writer) *progress {
	p := &progress{}
	if file, ok := stderr.(*os.File); ok && term.IsTerminal(int(file.Fd())) && os.Getenv("TERM") != "dumb" {
		p.out = stderr
	}
	return p
}

// say sets the text. The text appears after patience, so that a fast command does not flicker.
func (p *progress) say(format string, args ...any) {
	if p.out == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text = fmt.Sprintf(format, args...)
	if p.shown {
		p.show()
		return
	}
	if p.timer == nil {
		p.timer = time.AfterFunc(patience, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.timer != nil {
				p.shown = true
				p.show()
			}
		})
	}
}

// show writes the line over the previous line. The carriage return moves to the beginning of the line, and EL (ECMA-48)
// clears the rest of the line.
func (p *progress) show() { fmt.Fprintf(p.out, "\r%s ...\x1b[K", p.text) }

// done removes the line.
func (p *progress) done() {
	if p.out == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	if p.shown {
		fmt.Fprint(p.out, "\r\x1b[K")
		p.shown = false
	}
}
