package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lanlord/lanlord/pkg/daemon"
	"github.com/lanlord/lanlord/pkg/kube"
)

const (
	// collectPause is the time in which ServeHTTP repeats a collection of statuses, so that many requests cost little.
	collectPause = time.Second
	// collectLimit is the time in which a process must answer. collectAtOnce is the number of processes that the
	// collector asks at the same time.
	collectLimit  = 3 * time.Second
	collectAtOnce = 16
	// maxAnswer is the greatest size of one encrypted status in bytes. maxAnswers is the greatest size of all together.
	maxAnswer, maxAnswers = 2 << 20, 24 << 20
	// collectTries is the number of requests to one port. During an update two processes of a node listen on the port,
	// and the kernel gives each connection to one of them.
	collectTries = 8
)

// collector collects the encrypted statuses of all processes of Lanlord. A collector has no key, and passes on the
// statuses without reading them. HTTP requests come from several goroutines.
type collector struct {
	list   func(context.Context) ([]kube.Process, error)
	client *http.Client

	// last holds the last collection.
	last *recent[collection]
}

// collection holds the answers of all processes at one time.
type collection struct {
	processes []kube.Process
	answers   daemon.Statuses
	// text returns the answers as JSON, which only some requests need.
	text func() ([]byte, error)
}

func newCollector(client kube.Client, namespace string) *collector {
	return &collector{
		list: func(ctx context.Context) ([]kube.Process, error) { return kube.Processes(ctx, client, namespace) },
		client: &http.Client{Timeout: collectLimit, Transport: &http.Transport{
			DisableKeepAlives: true, DisableCompression: true,
			DialContext: (&net.Dialer{Timeout: collectLimit}).DialContext,
		}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		last: newRecent[collection](collectPause),
	}
}

// ServeHTTP answers with all statuses, which are at most one second old. Only one collection runs at a time.
func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	all, err := c.statuses(r.Context())
	var text []byte
	if err == nil {
		text, err = all.text()
	}
	w.Header().Set("Cache-Control", "no-store")
	if err != nil {
		// The error may quote the API server, and any client may send requests. Therefore the answer leaves the error
		// out.
		http.Error(w, "the processes could not be listed", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text) // a client that is gone asks again
}

// statuses returns all processes with their answers, which are at most one second old.
func (c *collector) statuses(ctx context.Context) (collection, error) { return c.last.get(ctx, c.look) }

// look asks all processes.
func (c *collector) look(ctx context.Context) (collection, error) {
	listing, cancel := context.WithTimeout(ctx, collectLimit)
	defer cancel()
	processes, err := c.list(listing)
	if err != nil {
		return collection{}, err
	}
	answers := c.collect(ctx, processes)
	return collection{processes, answers, sync.OnceValues(func() ([]byte, error) { return json.Marshal(answers) })}, nil
}

// collect asks the processes.
func (c *collector) collect(ctx context.Context, processes []kube.Process) daemon.Statuses {
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(collectAtOnce)
	all, size := daemon.Statuses{Sealed: []daemon.Sealed{}, Problems: map[string]string{}}, 0
	for _, p := range processes {
		group.Go(func() error {
			sealed, err := c.ask(ctx, p)
			mu.Lock()
			defer mu.Unlock()
			if size += len(sealed.Status); err == nil && size > maxAnswers {
				err = fmt.Errorf("the statuses of all processes have more than %d bytes", maxAnswers)
			}
			if err != nil {
				all.Problems[p.Pod] = err.Error()
				return nil
			}
			all.Sealed = append(all.Sealed, sealed)
			return nil
		})
	}
	_ = group.Wait() // no error is returned above
	return all
}

// ask asks one process.
func (c *collector) ask(ctx context.Context, p kube.Process) (sealed daemon.Sealed, err error) {
	if p.Problem != nil {
		return daemon.Sealed{}, p.Problem
	}
	for range collectTries {
		if sealed, err = c.fetch(ctx, p.Addr); err != nil || sealed.Pod == p.Pod {
			return sealed, err
		}
	}
	return daemon.Sealed{}, fmt.Errorf("another process answers on %v", p.Addr)
}

func (c *collector) fetch(ctx context.Context, at netip.AddrPort) (daemon.Sealed, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at.String()+daemon.SealedPath, nil)
	if err != nil {
		return daemon.Sealed{}, err
	}
	response, err := c.client.Do(request)
	if u, is := errors.AsType[*url.Error](err); is {
		return daemon.Sealed{}, u.Err // u.Err already names the address
	}
	if err != nil {
		return daemon.Sealed{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return daemon.Sealed{}, err
	case len(body) > maxAnswer:
		return daemon.Sealed{}, fmt.Errorf("the answer of %v has more than %d bytes", at, maxAnswer)
	case response.StatusCode == http.StatusNotFound:
		return daemon.Sealed{}, errors.New("the process is of a version without an encrypted status")
	case response.StatusCode != http.StatusOK:
		return daemon.Sealed{}, fmt.Errorf("%v answers %s: %.200q", at, response.Status, body)
	}
	var sealed daemon.Sealed
	if err := json.Unmarshal(body, &sealed); err != nil {
		return daemon.Sealed{}, fmt.Errorf("read the answer of %v: %w", at, err)
	}
	return sealed, nil
}
