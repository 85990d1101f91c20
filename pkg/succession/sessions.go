package succession

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/lanlord/lanlord/pkg/bfd"
	"github.com/lanlord/lanlord/pkg/bgp"
	"github.com/lanlord/lanlord/pkg/handover"
)

// bfdFiles is the number of sockets of a BFD session.
const bfdFiles = 2

// header describes a BGP session for the next process. The state of the BGP session follows the header and a newline.
type header struct {
	Name string        `json:"name"`
	BFD  *bfd.Detached `json:"bfd,omitempty"`
}

// encodeSession returns a BGP session as pkg/handover passes it.
func encodeSession(d bgp.Detached) (handover.Session, error) {
	state, err := json.Marshal(header{d.Name, d.BFD})
	if err != nil {
		return handover.Session{}, fmt.Errorf("session with %s: %w", d.Name, err)
	}
	s := handover.Session{State: append(append(state, '\n'), d.State...), Files: []*os.File{d.File}}
	if d.BFD != nil {
		s.Files = append(s.Files, d.BFD.Files...)
	}
	return s, nil
}

// decodeSession is the inverse of encodeSession.
func decodeSession(s handover.Session) (d bgp.Detached, err error) {
	text, state, found := bytes.Cut(s.State, []byte{'\n'})
	if !found {
		return d, errors.New("a session without a state")
	}
	var h header
	if err := json.Unmarshal(text, &h); err != nil {
		return d, fmt.Errorf("header of a session: %w", err)
	}
	want := 1
	if h.BFD != nil {
		want += bfdFiles
	}
	if h.Name == "" || len(s.Files) != want {
		return d, fmt.Errorf("session with %q has %d files, must have %d", h.Name, len(s.Files), want)
	}
	d = bgp.Detached{Name: h.Name, File: s.Files[0], State: state, BFD: h.BFD}
	if d.BFD != nil {
		d.BFD.Files = s.Files[1:]
	}
	return d, nil
}

// encode returns the BGP sessions for the next process, and leaves out sessions that cannot be encoded.
func (s *Succession) encode(detached []bgp.Detached) (sessions []handover.Session) {
	for _, d := range detached {
		session, err := encodeSession(d)
		if err != nil {
			s.options.Log.Error("session not handed over", "err", err)
			continue
		}
		sessions = append(sessions, session)
	}
	return sessions
}

// adopt gives the sessions of the previous process to their new owner. adopt closes unknown sessions, and this process
// connects to the routers of the closed sessions itself.
func (s *Succession) adopt(offer handover.Offer) {
	var detached []bgp.Detached
	for _, session := range offer.Sessions {
		d, err := decodeSession(session)
		if err != nil || s.options.Adopt == nil {
			session.Close()
			s.options.Log.Warn("session of the previous process not adopted", "err", err)
			continue
		}
		detached = append(detached, d)
	}
	if len(detached) > 0 {
		s.options.Adopt(inherit(offer.Place, s.options.Self), detached)
	}
}

// closeDetached closes the descriptors of sessions that the next process has received.
func closeDetached(detached []bgp.Detached) {
	for _, d := range detached {
		_ = d.File.Close()
		if d.BFD != nil {
			for _, f := range d.BFD.Files {
				_ = f.Close()
			}
		}
	}
}
