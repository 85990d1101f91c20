package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// patience is how long something may take before a person is told what it waits for.
const patience = 700 * time.Millisecond

// progress tells on a terminal what is waited for, in one line that goes away. Where standard error is no terminal it says nothing.
type progress struct {
	out io.Writer

	mu    sync.Mutex
	text  string
	shown bool
	timer *time.Timer
}

// newProgress returns one that writes to stderr if that is a terminal.
func newProgress(stderr io.Writer) *progress {
	p := &progress{}
	if file, ok := stderr.(*os.File); ok && term.IsTerminal(int(file.Fd())) && os.Getenv("TERM") != "dumb" {
		p.out = stderr
	}
	return p
}

// say sets what is waited for. It is shown after a moment, so that what is quick does not flicker.
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

// show writes the line over the one before: back to its beginning, and clear to its end (ECMA-48, EL).
func (p *progress) show() { fmt.Fprintf(p.out, "\r%s ...\x1b[K", p.text) }

// done takes the line away.
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
