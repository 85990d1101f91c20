package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/daemon"
	"github.com/lanlord/lanlord/pkg/inspect"
	"github.com/lanlord/lanlord/pkg/kube"
	"github.com/lanlord/lanlord/pkg/status"
)

var sightKey = bytes.Repeat([]byte("k"), 32)

// sealedStatus returns the encrypted status of a speaker.
func sealedStatus(t *testing.T, key []byte, pod, node string, at time.Time) daemon.Sealed {
	t.Helper()
	s := status.Speaker{State: "ready", Ready: true, Owned: []status.Owned{{Address: "192.0.2.1", Reason: "new"}}}
	s.Node, s.Time = node, at
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := daemon.Seal(key, pod, text)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// TestSightOpensStatuses checks what a look shows of processes whose status opens, is old, has another key, is missing,
// or is no status.
func TestSightOpensStatuses(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	pods := []string{"well", "old", "other", "silent", "unasked"}
	var all collection
	for i, pod := range pods {
		all.processes = append(all.processes, kube.Process{Pod: pod, Node: string(rune('a' + i)), Speaker: true, Ready: true})
	}
	all.processes = append(all.processes, kube.Process{Pod: "controller", Ready: true})
	controller, err := daemon.Seal(sightKey, "controller", []byte(`{"kind": "controller", "time": "2026-06-01T12:00:00Z", "role": "leader"}`))
	if err != nil {
		t.Fatal(err)
	}
	all.answers = daemon.Statuses{Problems: map[string]string{"silent": "no route to host"}, Sealed: []daemon.Sealed{
		sealedStatus(t, sightKey, "well", "a", now), sealedStatus(t, sightKey, "old", "b", now.Add(-time.Hour)),
		sealedStatus(t, bytes.Repeat([]byte("x"), 32), "other", "c", now), controller,
	}}
	key, keyErr := sightKey, error(nil)
	s := newSight(sightOptions{
		collect: func(context.Context) (collection, error) { return all, nil }, now: func() time.Time { return now },
		key: func(context.Context) ([]byte, error) { return key, keyErr },
		snapshot: func() cluster.Snapshot {
			return cluster.Snapshot{Services: []*cluster.Service{
				{Key: cluster.Key{Namespace: "a", Name: "b"}, Managed: true}, {Key: cluster.Key{Namespace: "a", Name: "c"}},
			}, Nodes: []cluster.Node{{Name: "a"}, {Name: "w", Labels: map[string]string{"kubernetes.io/os": "windows"}}}}
		},
	})
	c := s.see(t.Context())
	if len(c.Services) != 1 || len(c.Nodes) != 2 || !c.Nodes[0].Linux || c.Nodes[1].Linux || c.Leader() == nil {
		t.Errorf("the cluster is %+v", c)
	}
	for i, want := range []string{"", "an old answer was repeated", "another key", "no route to host", "did not ask"} {
		if x := c.Speakers[i]; (x.Says != nil) != (want == "") || !strings.Contains(x.Silence, want) || x.Name != pods[i] {
			t.Errorf("%s: %v, %q, want %q", pods[i], x.Says, x.Silence, want)
		}
	}
	if x := c.Speakers[0].Says; x == nil || len(x.Owned) != 1 {
		t.Errorf("the speaker says %+v", x)
	}
	key, keyErr = nil, errors.New("there is no Secret n/lanlord-viewer")
	c = s.see(t.Context())
	if len(c.Gaps) != 1 || !strings.Contains(c.Gaps[0].String(), "there is no Secret") || inspect.Asked(c) {
		t.Errorf("without a key: %+v", c.Gaps)
	}
}

// TestSightLooksSeldom has many pages ask at once and often. The looks must be seldom, a slow look must delay the next
// one, and pages must not wait for a look while the last one is young.
func TestSightLooksSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const took = time.Second
		var looks atomic.Int32
		s := newSight(sightOptions{
			collect: func(context.Context) (collection, error) {
				looks.Add(1)
				time.Sleep(took)
				return collection{}, nil
			},
			key: func(context.Context) ([]byte, error) { return sightKey, nil }, now: time.Now,
			snapshot: func() cluster.Snapshot { return cluster.Snapshot{} },
		})
		var pages sync.WaitGroup
		for range 8 {
			pages.Go(func() {
				if s.look(t.Context()) == nil {
					t.Error("a page shows nothing")
				}
			})
		}
		pages.Wait()
		if n := looks.Load(); n != 1 {
			t.Errorf("%d looks for the first pages, want 1", n)
		}
		began := time.Now()
		for range 100 {
			time.Sleep(100 * time.Millisecond)
			s.look(t.Context())
		}
		if waited := time.Since(began) - 10*time.Second; waited != 0 || looks.Load() != 3 {
			t.Errorf("in 10 s %d looks, want 3; the pages waited for %v", looks.Load(), waited)
		}
		time.Sleep(time.Minute)
		began = time.Now()
		if c := s.look(t.Context()); time.Since(began) != took || c.At.Before(began) {
			t.Errorf("after a minute a page shows the cluster as it was, after %v", time.Since(began))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		time.Sleep(time.Minute)
		s.look(ctx) // does not wait for the look that it starts
		time.Sleep(took)
	})
}

// TestSightSaysWhatFails checks the page of a controller that cannot list the processes.
func TestSightSaysWhatFails(t *testing.T) {
	s := newSight(sightOptions{
		collect:  func(context.Context) (collection, error) { return collection{}, io.ErrUnexpectedEOF },
		key:      func(context.Context) ([]byte, error) { return sightKey, nil },
		snapshot: func() cluster.Snapshot { return cluster.Snapshot{} }, now: time.Now,
	})
	if c := s.look(t.Context()); len(c.Gaps) != 1 || len(c.Speakers) != 0 {
		t.Errorf("the cluster is %+v", c)
	}
}
