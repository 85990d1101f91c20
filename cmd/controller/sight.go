package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/daemon"
	"github.com/lanlord/lanlord/pkg/inspect"
	"github.com/lanlord/lanlord/pkg/kube"
	"github.com/lanlord/lanlord/pkg/status"
)

const (
	// sightPause is the least time from one look at the cluster to the next. sightShare is the part of the time that
	// looks may take: after a look of one second, the next look begins after sightShare seconds.
	sightPause = 2 * time.Second
	sightShare = 4
	// oldestSight is the age up to which a page shows the last look while the next look is under way.
	oldestSight = 20 * time.Second
	// sightLimit is the time limit of one look.
	sightLimit = 30 * time.Second
)

// sightOptions are the sources of a sight.
type sightOptions struct {
	collect  func(context.Context) (collection, error)
	key      func(context.Context) ([]byte, error)
	snapshot func() cluster.Snapshot
	now      func() time.Time
	// namespace, configMap, metalLB and class describe this installation.
	namespace, configMap, metalLB, class string
}

// sight looks at the whole cluster for the page: at the snapshot of this process, and at the statuses of the speakers.
// sight looks only while somebody has the page open, and never more often than every two seconds. HTTP requests come
// from several goroutines.
type sight struct {
	sightOptions

	mu sync.Mutex
	// running is closed at the end of the present look, nil between two looks. next is the earliest time of the next
	// look.
	running chan struct{}
	next    time.Time
	last    *inspect.Cluster
}

func newSight(o sightOptions) *sight { return &sight{sightOptions: o} }

// look returns the cluster as last seen, nil if ctx ends before the first look does. The caller must not change the
// cluster. look waits for a look only if the last look is too old to show.
func (s *sight) look(ctx context.Context) *inspect.Cluster {
	s.mu.Lock()
	now := s.now()
	if s.running == nil && !now.Before(s.next) {
		s.running = make(chan struct{})
		go s.renew(context.WithoutCancel(ctx), s.running)
	}
	running, last := s.running, s.last
	s.mu.Unlock()
	if running == nil || last != nil && now.Sub(last.At) < oldestSight {
		return last
	}
	select {
	case <-running:
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// renew looks once, and closes done.
func (s *sight) renew(ctx context.Context, done chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, sightLimit)
	defer cancel()
	began := s.now()
	c := s.see(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	took := s.now().Sub(began)
	s.last, s.running, s.next = c, nil, s.now().Add(max(sightPause, sightShare*took))
	close(done)
}

// see looks at the cluster.
func (s *sight) see(ctx context.Context) *inspect.Cluster {
	snapshot := s.snapshot()
	c := &inspect.Cluster{
		At: s.now(), Namespace: s.namespace, Class: s.class, GossipKeys: -1, Claims: snapshot.Claims,
		Config: inspect.Config{
			Name: s.configMap, MetalLB: s.metalLB, Known: true, Found: snapshot.Config != nil, Config: snapshot.Config,
		},
	}
	for _, svc := range snapshot.Services {
		if svc.Managed {
			c.Services = append(c.Services, *svc)
		}
	}
	for _, svc := range snapshot.Others {
		c.Foreign = append(c.Foreign, inspect.ForeignService{Key: svc.Key, Class: svc.Class, Service: *svc})
	}
	for _, n := range snapshot.Nodes {
		c.Nodes = append(c.Nodes, inspect.Node{Node: n, Ready: true, Linux: n.Labels["kubernetes.io/os"] != "windows"})
	}
	all, err := s.collect(ctx)
	if err != nil {
		c.Gaps = append(c.Gaps, inspect.Gap{What: inspect.OfProcesses, Reason: err.Error()})
		return c
	}
	key, err := s.key(ctx)
	if err != nil {
		c.Gaps = append(c.Gaps, inspect.Gap{What: inspect.OfProcesses, Reason: err.Error()})
	}
	s.hear(c, all, key)
	return c
}

// hear adds the statuses of the processes to c. Without a key, all processes are silent.
func (s *sight) hear(c *inspect.Cluster, all collection, key []byte) {
	sealed := map[string]daemon.Sealed{}
	for _, x := range all.answers.Sealed {
		sealed[x.Pod] = x
	}
	var thinner inspect.Thinner
	for _, p := range all.processes {
		pod := inspect.Pod{Name: p.Pod, Node: p.Node, Ready: p.Ready, Deleting: p.Deleting}
		text, silence := []byte(nil), all.answers.Problems[p.Pod]
		if x, has := sealed[p.Pod]; has {
			text, silence = opened(x, key, c.At)
		} else if silence == "" {
			silence = "the controller did not ask it"
		}
		if !p.Speaker {
			controller := inspect.Controller{Pod: pod}
			controller.Says, controller.Silence = said[status.Controller](text, silence)
			if controller.Says != nil {
				controller.Says.Services, controller.Says.HeldBack = nil, nil // the page has its own
			}
			c.Controllers = append(c.Controllers, controller)
			continue
		}
		speaker := inspect.Speaker{Pod: pod}
		speaker.Says, speaker.Silence = said[status.Speaker](text, silence)
		if speaker.Says != nil && !thinner.Thin(speaker.Says) {
			speaker.Silence = "its routes do not fit into the page; kubectl lanlord routes shows them"
		}
		c.Speakers = append(c.Speakers, speaker)
	}
	slices.SortFunc(c.Controllers, func(x, y inspect.Controller) int { return byNode(x.Pod, y.Pod) })
	slices.SortFunc(c.Speakers, func(x, y inspect.Speaker) int { return byNode(x.Pod, y.Pod) })
}

func byNode(x, y inspect.Pod) int {
	return cmp.Or(strings.Compare(x.Node, y.Node), strings.Compare(x.Name, y.Name))
}

// opened returns the text of an encrypted status, or the reason why the text cannot be shown.
func opened(x daemon.Sealed, key []byte, now time.Time) (text []byte, silence string) {
	if len(key) == 0 {
		return nil, "the key of the statuses is missing"
	}
	text, err := x.Open(key)
	if err != nil {
		return nil, fmt.Sprintf("%v; the process may have another key than the Secret %s has now", err, kube.ViewerSecret)
	}
	if err := daemon.CheckAge(text, now); err != nil {
		return nil, err.Error()
	}
	return text, ""
}

// said decodes a status.
func said[T any](text []byte, silence string) (*T, string) {
	if text == nil {
		return nil, silence
	}
	says := new(T)
	if err := json.Unmarshal(text, says); err != nil {
		return nil, fmt.Sprintf("its answer could not be read: %v", err)
	}
	return says, ""
}
