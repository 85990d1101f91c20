package main

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/inspect"
	"github.com/lanlord/lanlord/pkg/page"
)

// pagePause is the least time from the end of a look at the cluster to the next look.
const pagePause = 2 * time.Second

// pageSight looks at the cluster for a page that the plugin makes. Requests come from several goroutines.
type pageSight struct {
	server *pageServer

	// mu guards the fields below, also during a look, so that concurrent requests share one look.
	mu   sync.Mutex
	last *inspect.Cluster
	next time.Time
}

func (s *pageSight) handler() http.Handler { return page.Cluster(s.see) }

func (s *pageSight) see(ctx context.Context) page.Sight {
	c := s.look(ctx)
	sight := page.Sight{Cluster: c, Events: s.events}
	if leader := c.Leader(); leader != nil {
		sight.Controller = *leader
	}
	return sight
}

// look returns the cluster, at most some seconds old. If the API server does not answer, look returns the last cluster
// with a gap that says so.
func (s *pageSight) look(ctx context.Context) *inspect.Cluster {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last != nil && time.Now().Before(s.next) {
		return s.last
	}
	c, err := s.server.lookQuietly(ctx)
	if err != nil {
		stale := inspect.Cluster{At: s.server.now(), GossipKeys: -1}
		if s.last != nil {
			stale = *s.last
		}
		stale.Gaps = []inspect.Gap{{What: inspect.OfCluster, Reason: err.Error()}}
		c = &stale
	}
	s.last, s.next = c, time.Now().Add(pagePause)
	return c
}

func (s *pageSight) events(ctx context.Context, key cluster.Key) ([]inspect.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, s.server.timeout)
	defer cancel()
	return s.server.events(ctx, s.server.access, key)
}
