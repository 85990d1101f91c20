package membership

import (
	"errors"
	"fmt"
	"slices"
)

// State is what a member says of itself.
type State uint8

// The states. A member goes from Joining to Ready to Leaving; the values are on the wire.
const (
	// Unknown is the state of a member whose metadata cannot be read, because it is of a later version or malformed.
	Unknown State = iota
	// Joining is a member that cannot answer for addresses yet.
	Joining
	// Ready is a member that can answer for addresses.
	Ready
	// Leaving is a member that is about to go.
	Leaving
)

// states holds every state.
var states = [...]State{Unknown, Joining, Ready, Leaving}

// String returns the state in lower case.
func (s State) String() string {
	if int(s) >= len(states) {
		return fmt.Sprintf("state %d", uint8(s))
	}
	return [...]string{"unknown", "joining", "ready", "leaving"}[s]
}

// MAC is an Ethernet address.
type MAC [6]byte

// String returns the address in the usual form, 02:00:00:00:00:01.
func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// problem says why m cannot be the address of an interface, or nil.
func (m MAC) problem() error {
	switch {
	case m == MAC{}:
		return errors.New("MAC address is all zero")
	case m[0]&1 != 0:
		return fmt.Errorf("MAC address %s is a group's", m)
	}
	return nil
}

const (
	// metaVersion is the version of the encoding that is written.
	metaVersion = 1
	// metaHeader is the length of what precedes the MAC addresses: version, state.
	metaHeader = 2
	// metaLimit is what memberlist can carry (memberlist.MetaMaxSize).
	metaLimit = 512
	// MaxMACs is the greatest number of MAC addresses that a member can announce.
	MaxMACs = (metaLimit - metaHeader) / len(MAC{})
)

// errMetaVersion is wrapped by the error for metadata of another version.
var errMetaVersion = errors.New("metadata of unknown version")

// encodeMeta returns the metadata of a member: a byte each for the version and the state, then the MAC addresses in
// ascending order, each once.
func encodeMeta(state State, macs []MAC) ([]byte, error) {
	if state == Unknown || int(state) >= len(states) {
		return nil, fmt.Errorf("%s cannot be announced", state)
	}
	sorted := slices.Compact(slices.SortedFunc(slices.Values(macs), compareMACs))
	if len(sorted) > MaxMACs {
		return nil, fmt.Errorf("%d MAC addresses are more than the %d that can be announced", len(sorted), MaxMACs)
	}
	meta := append(make([]byte, 0, metaHeader+len(sorted)*len(MAC{})), metaVersion, byte(state))
	for _, mac := range sorted {
		if err := mac.problem(); err != nil {
			return nil, err
		}
		meta = append(meta, mac[:]...)
	}
	return meta, nil
}

// parseMeta reads metadata of any origin. It accepts exactly what encodeMeta writes.
func parseMeta(meta []byte) (State, []MAC, error) {
	if len(meta) == 0 {
		return Unknown, nil, errors.New("no metadata")
	}
	if meta[0] != metaVersion {
		return Unknown, nil, fmt.Errorf("%w %d", errMetaVersion, meta[0])
	}
	if len(meta) < metaHeader || len(meta) > metaLimit || (len(meta)-metaHeader)%len(MAC{}) != 0 {
		return Unknown, nil, fmt.Errorf("metadata of %d bytes", len(meta))
	}
	state := State(meta[1])
	if state == Unknown || int(state) >= len(states) {
		return Unknown, nil, fmt.Errorf("metadata with %s", state)
	}
	var macs []MAC
	for chunk := range slices.Chunk(meta[metaHeader:], len(MAC{})) {
		mac := MAC(chunk)
		if err := mac.problem(); err != nil {
			return Unknown, nil, fmt.Errorf("metadata: %w", err)
		}
		if len(macs) > 0 && compareMACs(macs[len(macs)-1], mac) >= 0 {
			return Unknown, nil, errors.New("metadata with MAC addresses out of order")
		}
		macs = append(macs, mac)
	}
	return state, macs, nil
}

func compareMACs(a, b MAC) int { return slices.Compare(a[:], b[:]) }
