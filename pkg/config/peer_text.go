package config

import (
	"fmt"
	"time"
)

// String returns the name and the router. It never has the password.
func (p Peer) String() string { return fmt.Sprintf("peer %q (%s)", p.Name, p.Router()) }

// GoString returns the same as String, so that no verb of fmt prints the password.
func (p Peer) GoString() string { return p.String() }

func milliseconds(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
