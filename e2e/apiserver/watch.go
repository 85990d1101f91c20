package apiserver

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

const (
	// longestWatch is how long a watch lasts whose client names no timeout; an API server's default is of this order.
	longestWatch = 30 * time.Minute
	// bookmarkEvery is how often a watch is told the version, so that it need not list again after a pause.
	bookmarkEvery = time.Minute
)

// line is one event of a watch, as it is on the wire.
type line struct {
	Type   watch.EventType `json:"type"`
	Object json.RawMessage `json:"object"`
}

// serveWatch sends events until the client or the timeout ends it. A watch without a version, or that asks for initial
// events, begins with all objects there are.
func (s *Server) serveWatch(w http.ResponseWriter, r *http.Request, k kind, which selection) error {
	query := r.URL.Query()
	initial, _ := strconv.ParseBool(query.Get("sendInitialEvents"))
	bookmarks, _ := strconv.ParseBool(query.Get("allowWatchBookmarks"))
	var version uint64
	if text := query.Get("resourceVersion"); text != "" {
		var err error
		if version, err = strconv.ParseUint(text, 10, 64); err != nil {
			return apierrors.NewBadRequest("invalid resourceVersion")
		}
	}
	timeout := longestWatch
	if seconds, err := strconv.Atoi(query.Get("timeoutSeconds")); err == nil && seconds > 0 {
		timeout = time.Duration(seconds) * time.Second
	}
	end := time.NewTimer(timeout)
	defer end.Stop()
	tick := time.NewTicker(bookmarkEvery)
	defer tick.Stop()

	w.Header().Set("Content-Type", "application/json")
	out := json.NewEncoder(w)
	if initial || version == 0 {
		var items []*stored
		items, version = s.list(k.resource, which)
		for _, o := range items {
			if out.Encode(line{watch.Added, o.text}) != nil {
				return nil
			}
		}
		if initial && out.Encode(k.bookmark(version, true)) != nil {
			return nil
		}
	}
	hangUp, hangUpOwn := s.hanging(r)
	for {
		changes, now, changed, known := s.since(k.resource, version)
		if !known {
			return s.expire(w, out)
		}
		for _, c := range changes {
			if event, o, ok := which.event(c); ok && out.Encode(line{event, o.text}) != nil {
				return nil
			}
		}
		version = max(version, now)
		if http.NewResponseController(w).Flush() != nil {
			return nil
		}
		select {
		case <-changed:
		case <-hangUp:
			return nil
		case <-hangUpOwn:
			return nil
		case <-r.Context().Done():
			return nil
		case <-end.C:
			return nil
		case <-tick.C:
			if bookmarks && out.Encode(k.bookmark(version, false)) != nil {
				return nil
			}
		}
	}
}

// bookmark is an event that only tells the version, and whether all initial events have been sent.
func (k kind) bookmark(version uint64, initialEnd bool) line {
	m := metav1.ObjectMeta{ResourceVersion: strconv.FormatUint(version, 10)}
	if initialEnd {
		m.Annotations = map[string]string{metav1.InitialEventsAnnotationKey: "true"}
	}
	text, err := json.Marshal(struct {
		metav1.TypeMeta `json:",inline"`
		Metadata        metav1.ObjectMeta `json:"metadata"`
	}{metav1.TypeMeta{APIVersion: k.group, Kind: k.name}, m})
	if err != nil {
		panic(err) // strings only
	}
	return line{watch.Bookmark, text}
}
