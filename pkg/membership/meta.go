package membership

import (
	"errors"
	"fmt"
)

// State is what a member says of itself.
type State uint8

// The states. A member goes from Joining to Ready to Leaving; the values are on the wire.
const (
	// Unknown is the state of a member whose metadata cannot be read, because it is of another version or malformed.
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

const (
	// metaVersion is the version of the encoding that is written.
	metaVersion = 2
	// metaHeader is the length of what precedes the sections: version, state.
	metaHeader = 2
	// metaLimit is what memberlist can carry (memberlist.MetaMaxSize).
	metaLimit = 512
	// sectionHeader is the length of what precedes the value of a section: type, length of the value in two bytes.
	sectionHeader = 3
	// sectionLink is the type of a section that tells of one link.
	sectionLink = 1
)

// errMetaVersion is wrapped by the error for metadata of another version.
var errMetaVersion = errors.New("metadata of unknown version")

// leftOut counts what metadata had no room for.
type leftOut struct{ subnets, links int }

// encodeMeta returns the metadata of a member: a byte each for the version and the state, then a section for each link, by
// name. Links that take more than metaLimit are cut down, the last one first, by all their subnets and then altogether.
func encodeMeta(state State, links []Link) ([]byte, leftOut, error) {
	var out leftOut
	if state == Unknown || int(state) >= len(states) {
		return nil, out, fmt.Errorf("%s cannot be announced", state)
	}
	links, err := canonicalLinks(links)
	if err != nil {
		return nil, out, err
	}
	size := metaHeader
	for _, l := range links {
		size += sectionHeader + l.size()
	}
	for i := len(links) - 1; i >= 0 && size > metaLimit; i-- {
		l := &links[i]
		for len(l.Subnets) > 0 && size > metaLimit {
			last := len(l.Subnets) - 1
			size -= subnetSize(l.Subnets[last])
			l.Subnets = l.Subnets[:last]
			out.subnets++
		}
	}
	for len(links) > 0 && size > metaLimit {
		last := len(links) - 1
		size -= sectionHeader + links[last].size()
		links = links[:last]
		out.links++
	}
	meta := append(make([]byte, 0, size), metaVersion, byte(state))
	for _, l := range links {
		n := l.size()
		meta = l.append(append(meta, sectionLink, byte(n>>8), byte(n)))
	}
	return meta, out, nil
}

// parseMeta reads metadata of any origin. It accepts what encodeMeta writes, and sections of other types anywhere in it,
// which it skips: a later version may add some.
func parseMeta(meta []byte) (State, []Link, error) {
	if len(meta) == 0 {
		return Unknown, nil, errors.New("no metadata")
	}
	if meta[0] != metaVersion {
		return Unknown, nil, fmt.Errorf("%w %d", errMetaVersion, meta[0])
	}
	if len(meta) < metaHeader || len(meta) > metaLimit {
		return Unknown, nil, fmt.Errorf("metadata of %d bytes", len(meta))
	}
	state := State(meta[1])
	if state == Unknown || int(state) >= len(states) {
		return Unknown, nil, fmt.Errorf("metadata with %s", state)
	}
	var links []Link
	for rest := meta[metaHeader:]; len(rest) > 0; {
		kind, value, after, err := nextSection(rest)
		if err != nil {
			return Unknown, nil, err
		}
		rest = after
		if kind != sectionLink {
			continue
		}
		link, err := parseLink(value)
		if err != nil {
			return Unknown, nil, fmt.Errorf("metadata: %w", err)
		}
		if len(links) > 0 && links[len(links)-1].Name >= link.Name {
			return Unknown, nil, errors.New("metadata with links out of order")
		}
		links = append(links, link)
	}
	return state, links, nil
}

// nextSection splits the first section off b, which is not empty.
func nextSection(b []byte) (kind byte, value, rest []byte, err error) {
	if len(b) < sectionHeader {
		return 0, nil, nil, errors.New("metadata with half a section header")
	}
	kind, n, b := b[0], int(b[1])<<8|int(b[2]), b[sectionHeader:]
	if n > len(b) {
		return 0, nil, nil, fmt.Errorf("metadata with a section of %d bytes, of which %d are there", n, len(b))
	}
	return kind, b[:n], b[n:], nil
}
