package apiserver

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/watch"
)

// Trouble is what is wrong with a Server. The zero value is nothing.
type Trouble struct {
	// Delay is how long each request waits before it is served.
	Delay time.Duration
	// Refuse and Fail say that every nth request is answered with 429 and Retry-After, or with 500. 0 is none.
	Refuse, Fail uint64
	// Tokens are the bearer tokens that are accepted; all others are answered with 401. Without any, none is asked for.
	Tokens []string
}

// SetTrouble replaces what is wrong from the next request on.
func (s *Server) SetTrouble(t Trouble) { s.trouble.Store(&t) }

// troubled answers a request that meets a trouble, and returns false if it is still to be served.
func (s *Server) troubled(w http.ResponseWriter, r *http.Request) bool {
	t := s.trouble.Load()
	if t == nil {
		return false
	}
	if t.Delay > 0 {
		select {
		case <-time.After(t.Delay):
		case <-r.Context().Done():
			return true
		}
	}
	number := s.requests.Add(1)
	switch {
	case !t.knows(r):
		answerError(w, apierrors.NewUnauthorized("unknown token"))
	case t.Refuse > 0 && number%t.Refuse == 0:
		w.Header().Set("Retry-After", "1")
		answerError(w, apierrors.NewTooManyRequests("too many requests", 1))
	case t.Fail > 0 && number%t.Fail == 0:
		answerError(w, apierrors.NewInternalError(http.ErrAbortHandler))
	default:
		return false
	}
	return true
}

func (t *Trouble) knows(r *http.Request) bool {
	for _, token := range t.Tokens {
		if r.Header.Get("Authorization") == "Bearer "+token {
			return true
		}
	}
	return len(t.Tokens) == 0
}

// HangUp ends all watches, as an API server does that is stopped.
func (s *Server) HangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.hangUp)
	s.hangUp = make(chan struct{})
}

// HangUpOf ends the watches of one client, which is named by its IP address.
func (s *Server) HangUpOf(client netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if hangUp := s.hangUps[client]; hangUp != nil {
		close(hangUp)
		delete(s.hangUps, client)
	}
}

// hanging returns channels that are closed to end a client's watch: that of all clients, and the client's own.
func (s *Server) hanging(r *http.Request) (all, own <-chan struct{}) {
	client, _ := netip.ParseAddrPort(r.RemoteAddr) // the zero value, for what is no address, is a client too
	s.mu.Lock()
	defer s.mu.Unlock()
	key := client.Addr().Unmap()
	if s.hangUps[key] == nil {
		s.hangUps[key] = make(chan struct{})
	}
	return s.hangUp, s.hangUps[key]
}

// Forget forgets all changes, as a compaction of etcd does: watches of older versions are told 410 Gone, and list again.
// [Server.Changes] still knows them.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgotten = s.version
}

// expire tells a watch whose version is too old so.
func (s *Server) expire(w http.ResponseWriter, out *json.Encoder) error {
	gone := apierrors.NewResourceExpired("too old resource version")
	gone.ErrStatus.APIVersion, gone.ErrStatus.Kind = "v1", "Status"
	text, err := json.Marshal(gone.ErrStatus)
	if err != nil {
		return err
	}
	if out.Encode(line{watch.Error, text}) == nil {
		_ = http.NewResponseController(w).Flush() // the client is gone, then
	}
	return nil
}
