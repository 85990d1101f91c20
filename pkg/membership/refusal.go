package membership

import (
	"fmt"
	"strings"
)

// refusal is the reason for the rejection of a packet or stream of gossip.
type refusal uint8

const (
	refusedKey refusal = iota
	refusedMalformed
	refusedOverflow
)

// refusals holds every refusal.
var refusals = [...]refusal{refusedKey, refusedMalformed, refusedOverflow}

// String returns the label of the refusal in the metrics.
func (r refusal) String() string {
	if int(r) >= len(refusals) {
		return fmt.Sprintf("refusal %d", uint8(r))
	}
	return [...]string{"key", "malformed", "overflow"}[r]
}

// refusalIn returns the refusal reported by a line of memberlist's log, because memberlist reports refusals nowhere
// else. A failure of a connection, or of this member, is not a refusal.
func refusalIn(text string) (refusal, bool) {
	contains := func(parts ...string) bool {
		for _, part := range parts {
			if strings.Contains(text, part) {
				return true
			}
		}
		return false
	}
	begins := func(prefixes ...string) bool {
		for _, prefix := range prefixes {
			if strings.HasPrefix(text, prefix) {
				return true
			}
		}
		return false
	}
	switch {
	case begins("Decrypt packet failed:", "failed to receive:") && contains("no installed keys could decrypt"):
		return refusedKey, true
	case begins("handler queue full", "Too many pending push/pull requests"):
		return refusedOverflow, true
	case contains("i/o timeout", "connection reset", "use of closed network connection"):
		return 0, false
	case begins("Decrypt packet failed:", "failed to receive", "cannot decode label", "label header cannot be empty",
		"discarding packet with", "discarding stream with", "unexpected double", "Got invalid checksum", "missing message type",
		"msg type (", "Message type (", "Failed to decode", "Failed to decompress", "Compound request had",
		"Received invalid msgType", "Failed to receive user message", "Failed to read remote state", "UDP packet too short"):
		return refusedMalformed, true
	}
	return 0, false
}
