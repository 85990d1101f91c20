package config

import (
	"fmt"
	"io"
	"time"
)

// String returns the name and the router, never the password.
func (p Peer) String() string { return fmt.Sprintf("peer %q (%s)", p.Name, p.Router()) }

// Format writes String for every verb, so that no verb shows the password.
func (p Peer) Format(state fmt.State, _ rune) {
	// The State keeps the written text, and the error is always nil.
	_, _ = io.WriteString(state, p.String())
}

func milliseconds(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
