package agent

import "time"

// Request is one job for the machine. One of the pointers is set.
type Request struct {
	ID    uint64
	Run   *Run
	Start *Start
	Kill  *Kill
	Put   *Put
	Get   *Get
}

// Run runs a program until the program ends.
type Run struct {
	Args []string
	// Limit is the time after which the machine kills the program.
	Limit time.Duration
}

// Start starts a program that goes on. A name is used once at a time.
type Start struct {
	Name string
	Args []string
	Env  []string
	// Log is the file for what the program prints; the file is written anew.
	Log string
}

// Kill sends a signal to a program that Start has started, and with Wait waits until the program has ended. A program
// that has ended before is no error.
type Kill struct {
	Name   string
	Signal int
	Wait   bool
}

// Put writes a file, with its folders.
type Put struct {
	Path string
	Data []byte
	Mode uint32
}

// Get reads a file.
type Get struct{ Path string }

// Answer is the result of the Request with the same ID.
type Answer struct {
	ID uint64
	// Output has the text of a program on both outputs, or the content of a file.
	Output []byte
	// Code is the exit status of a program, 128 and more for the number of a signal.
	Code int
	// Problem is the reason why the request could not be served, empty for none.
	Problem string
	// Running is the number of programs of Start that run.
	Running int
}
