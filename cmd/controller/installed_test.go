package main

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/kube"
)

// TestInstalled asks whether the installation is ready.
func TestInstalled(t *testing.T) {
	for _, c := range []struct {
		name   string
		synced bool
		all    kube.Installed
		err    error
		status int
		text   string
	}{
		{"all is ready", true, kube.Installed{Controllers: 1, Speakers: 3}, nil, 200, "the controller and all speakers are ready\n"},
		{"a speaker is not ready", true, kube.Installed{Controllers: 1, Speakers: 2, Unready: []string{"the Pod speaker-3 on n3 is not ready: ErrImagePull"}},
			nil, 503, "the Pod speaker-3 on n3 is not ready: ErrImagePull\nkubectl lanlord doctor says more\n"},
		{"no speaker", true, kube.Installed{Controllers: 1}, nil, 503, "no speaker is ready"},
		{"an error of the API server", true, kube.Installed{}, errors.New("secret"), 503, "could not be listed"},
		{"before the first list", false, kube.Installed{Controllers: 1, Speakers: 3}, nil, 503, "has not read the Services"},
	} {
		var lists atomic.Int32
		i := &installed{last: newRecent[string](time.Hour), synced: func() bool { return c.synced }, list: func(context.Context) (kube.Installed, error) {
			lists.Add(1)
			return c.all, c.err
		}}
		for range 3 {
			answer := httptest.NewRecorder()
			i.ServeHTTP(answer, httptest.NewRequest("GET", "/installed", nil))
			if text := answer.Body.String(); answer.Code != c.status || !strings.Contains(text, c.text) || strings.Contains(text, "secret") {
				t.Errorf("%s: %d %q, want %d %q", c.name, answer.Code, text, c.status, c.text)
			}
		}
		if n := lists.Load(); n > 1 {
			t.Errorf("%s: %d lists for requests at the same time", c.name, n)
		}
	}
}
