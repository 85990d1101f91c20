package membership

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// State is the phase of a member.
type State uint8

// The states. A member goes from Joining to Ready to Leaving. The values are part of the wire format.
const (
	// Unknown is the state of a member with unreadable metadata: the metadata has another version, or is malformed.
	Unknown State = iota
	// Joining is a member that cannot answer for addresses yet.
	Joining
	// Ready is a member that can answer for addresses.
	Ready
	// Leaving is a member that is about to stop.
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

// announceable reports whether a member can announce the state s.
func (s State) announceable() bool { return s != Unknown && int(s) < len(states) }

const (
	// metaVersion is the version of the written encoding.
	metaVersion = 2
	// metaHeader is the length of the version and the state, which precede the sections.
	metaHeader = 2
	// metaLimit is the maximum size of metadata in memberlist (memberlist.MetaMaxSize).
	metaLimit = 512
	// sectionHeader is the size of the section type and of the length of the value, which takes two bytes.
	sectionHeader = 3

	// sectionLink is the type of a section for one link.
	sectionLink = 1
	// sectionSince is the type of the section for Report.Since: seconds since 1970 in sinceSize bytes.
	sectionSince = 2
	// sectionConfigured is the type of an empty section that represents Report.Configured.
	sectionConfigured = 3
	// sectionMACs is the type of the section for Report.MACs, which holds the addresses one after the other.
	sectionMACs = 4

	sinceSize = 4
)

// errMetaVersion is wrapped by the error for metadata of another version.
var errMetaVersion = errors.New("metadata of unknown version")

// size returns the length of the metadata for r. r must be a result of fit.
func (r Report) size() int {
	size := metaHeader
	if !r.Since.IsZero() {
		size += sectionHeader + sinceSize
	}
	if r.Configured {
		size += sectionHeader
	}
	if len(r.MACs) > 0 {
		size += sectionHeader + len(r.MACs)*len(MAC{})
	}
	for _, l := range r.Links {
		size += sectionHeader + l.size()
	}
	return size
}

// announcedTime returns t as the metadata carries t: in whole seconds, and zero if the seconds do not fit into four
// bytes.
func announcedTime(t time.Time) time.Time {
	if s := t.Unix(); s > 0 && s <= math.MaxUint32 {
		return time.Unix(s, 0).UTC()
	}
	return time.Time{}
}

// encodeMeta returns the metadata for r: one byte for the version, one byte for the state, and then the sections, with
// the link sections ordered by name. r must be a result of fit.
func encodeMeta(r Report) []byte {
	meta := append(make([]byte, 0, r.size()), metaVersion, byte(r.State))
	section := func(kind byte, n int) { meta = append(meta, kind, byte(n>>8), byte(n)) }
	if !r.Since.IsZero() {
		section(sectionSince, sinceSize)
		meta = binary.BigEndian.AppendUint32(meta, uint32(r.Since.Unix()))
	}
	if r.Configured {
		section(sectionConfigured, 0)
	}
	if len(r.MACs) > 0 {
		section(sectionMACs, len(r.MACs)*len(MAC{}))
		for _, mac := range r.MACs {
			meta = append(meta, mac[:]...)
		}
	}
	for _, l := range r.Links {
		section(sectionLink, l.size())
		meta = l.append(meta)
	}
	return meta
}

// parseMeta parses metadata from any source. parseMeta accepts the output of encodeMeta with the sections in any order,
// and skips sections of other types, because later versions may add types.
func parseMeta(meta []byte) (Report, error) {
	if len(meta) == 0 {
		return Report{}, errors.New("no metadata")
	}
	if meta[0] != metaVersion {
		return Report{}, fmt.Errorf("%w %d", errMetaVersion, meta[0])
	}
	if len(meta) < metaHeader || len(meta) > metaLimit {
		return Report{}, fmt.Errorf("metadata of %d bytes", len(meta))
	}
	r := Report{State: State(meta[1])}
	if !r.State.announceable() {
		return Report{}, fmt.Errorf("metadata with %s", r.State)
	}
	for rest := meta[metaHeader:]; len(rest) > 0; {
		kind, value, after, err := nextSection(rest)
		if err != nil {
			return Report{}, err
		}
		rest = after
		if err := r.parseSection(kind, value); err != nil {
			return Report{}, fmt.Errorf("metadata: %w", err)
		}
	}
	return r, nil
}

// parseSection parses one section into r.
func (r *Report) parseSection(kind byte, value []byte) error {
	switch kind {
	case sectionLink:
		link, err := parseLink(value)
		if err != nil {
			return err
		}
		if len(r.Links) > 0 && r.Links[len(r.Links)-1].Name >= link.Name {
			return errors.New("links out of order")
		}
		r.Links = append(r.Links, link)
	case sectionSince:
		if len(value) != sinceSize || !r.Since.IsZero() {
			return errors.New("malformed time")
		}
		if r.Since = announcedTime(time.Unix(int64(binary.BigEndian.Uint32(value)), 0)); r.Since.IsZero() {
			return errors.New("malformed time")
		}
	case sectionConfigured:
		if len(value) > 0 || r.Configured {
			return errors.New("malformed flag")
		}
		r.Configured = true
	case sectionMACs:
		if len(r.MACs) > 0 {
			return errors.New("MAC addresses in two sections")
		}
		var err error
		if r.MACs, err = parseMACs(value); err != nil {
			return err
		}
	}
	return nil
}

// parseMACs parses MAC addresses up to the end of b. parseMACs rejects an empty list and duplicates.
func parseMACs(b []byte) ([]MAC, error) {
	if len(b) == 0 || len(b)%len(MAC{}) != 0 {
		return nil, fmt.Errorf("MAC addresses in %d bytes", len(b))
	}
	var macs []MAC
	for ; len(b) > 0; b = b[len(MAC{}):] {
		mac := MAC(b[:len(MAC{})])
		if err := mac.problem(); err != nil {
			return nil, err
		}
		if slices.Contains(macs, mac) {
			return nil, fmt.Errorf("MAC address %s twice", mac)
		}
		macs = append(macs, mac)
	}
	return macs, nil
}

// nextSection splits the first section from b, which is not empty.
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
