package kube

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"

	"golang.org/x/sync/errgroup"
)

// progressing is a table that reports its progress through the changes of its kind.
type progressing interface {
	cache.ReflectorStore
	// progress returns the newest resourceVersion that the table has seen, whether the table was listed once, and a
	// channel that is closed when seen moves.
	progress() (seen string, synced bool, passed <-chan struct{})
}

// WaitFresh waits until the Store shows every object of every watched kind at least as new as the API server holds the
// object now. A watch may lag behind. Before a new leader assigns anything, the leader must know the last assignments
// of the previous leader, the Nodes, the namespaces, the reports of the speakers and the configuration.
func (s *Store) WaitFresh(ctx context.Context) error {
	group, watching := errgroup.WithContext(ctx)
	for _, w := range s.watches {
		group.Go(func() error { return s.waitFresh(watching, w) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return s.waitSet(ctx)
}

func (s *Store) waitFresh(ctx context.Context, w watched) error {
	newest, err := s.newest(ctx, w)
	for retry := newKeepRetry(); err != nil; newest, err = s.newest(ctx, w) {
		if (apierrors.IsForbidden(err) || apierrors.IsNotFound(err)) && s.isSynced(w) || w.kind != nil && apierrors.IsNotFound(err) {
			return nil // the Store works without the kind
		}
		s.opt.Log.Warn("cannot find out whether a watch is up to date; trying again", "kind", w.title, "err", err)
		if sleep(ctx, retry.Step()); ctx.Err() != nil {
			return fmt.Errorf("list %s: %w", w.title, err)
		}
	}
	for waited := false; ; waited = true {
		seen, synced, passed := w.table.progress()
		if synced && (newest == "" || !older(seen, newest)) {
			return nil
		}
		if !waited {
			s.opt.Log.Info("waiting for a watch to catch up", "kind", w.title, "seen", seen, "newest", newest)
		}
		select {
		case <-passed:
		case <-ctx.Done():
			return fmt.Errorf("wait for the watch of %s to catch up: %w", w.title, context.Cause(ctx))
		}
	}
}

func (s *Store) isSynced(w watched) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return w.synced == nil || w.synced()
}

// newest returns the newest resourceVersion of any object of a watch, by a consistent list in pages. It returns "" if
// there are no objects.
func (s *Store) newest(ctx context.Context, w watched) (version string, err error) {
	page := metav1.ListOptions{Limit: 500}
	w.narrow(&page)
	for {
		list, err := s.opt.Client.Do(ctx, Request{Verb: VerbList, Resource: w.resource, Namespace: w.namespace, Options: page})
		switch {
		case apierrors.IsResourceExpired(err) && page.Continue != "":
			page.Continue = ""
			continue
		case err != nil:
			return "", fmt.Errorf("list %s: %w", w.title, err)
		}
		if err := meta.EachListItem(list, func(o runtime.Object) error {
			object, err := meta.Accessor(o)
			if err == nil {
				version = newer(version, object.GetResourceVersion())
			}
			return err
		}); err != nil {
			return "", fmt.Errorf("list %s: %w", w.title, err)
		}
		more, err := meta.ListAccessor(list)
		if err != nil {
			return "", fmt.Errorf("list %s: %w", w.title, err)
		}
		if page.Continue = more.GetContinue(); page.Continue == "" {
			return version, nil
		}
	}
}
