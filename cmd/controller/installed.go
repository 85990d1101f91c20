package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/lanlord/lanlord/pkg/kube"
)

// installedPause is the time in which installed repeats an answer, so that many requests cost little.
const installedPause = time.Second

// installed tells "helm test" whether the controller and all speakers are ready. HTTP requests come from several
// goroutines.
type installed struct {
	list   func(context.Context) (kube.Installed, error)
	synced func() bool

	last *recent[string]
}

func newInstalled(client kube.Client, namespace string, synced func() bool) *installed {
	return &installed{
		list:   func(ctx context.Context) (kube.Installed, error) { return kube.LookAtPods(ctx, client, namespace) },
		synced: synced, last: newRecent[string](installedPause),
	}
}

// ServeHTTP answers 200 if all is ready, and 503 with a line for each problem otherwise.
func (i *installed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, err := i.last.get(r.Context(), i.problems)
	if err != nil {
		return // the client is gone
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if text != "" {
		w.WriteHeader(http.StatusServiceUnavailable)
	} else {
		text = "the controller and all speakers are ready\n"
	}
	_, _ = fmt.Fprint(w, text) // a client that is gone asks again
}

// problems returns a line for each problem, and never an error.
func (i *installed) problems(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, collectLimit)
	defer cancel()
	return i.look(ctx), nil
}

func (i *installed) look(ctx context.Context) string {
	if !i.synced() {
		return "the controller has not read the Services and the ConfigMap yet\n"
	}
	all, err := i.list(ctx)
	if err != nil {
		// The error may quote the API server, and any client may send requests. Therefore the answer leaves the error out.
		return "the Pods of Lanlord could not be listed; the rights of the controller may be missing\n"
	}
	lines := all.Unready
	if all.Speakers == 0 {
		lines = append(lines, "no speaker is ready, so nobody answers for addresses")
	}
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(append(lines, "kubectl lanlord doctor says more"), "\n") + "\n"
}
