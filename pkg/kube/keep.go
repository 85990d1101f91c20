package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	// keepPause is the shortest time between two writes of the ConfigMap lanlord-state. When a cluster starts, each
	// speaker reports its MAC addresses, and every speaker receives every write.
	keepPause = 2 * time.Second
	// keepLimit is the time limit of one write.
	keepLimit = 10 * time.Second
	// conflictPause is the time that a write waits for the watch to show the write of another process.
	conflictPause = 5 * time.Second
	// mostState is the most bytes that the configuration, the past configurations and the nodes may have together. The
	// API server accepts a ConfigMap of 1 MiB.
	mostState = 900_000
)

// KeepState writes the last accepted configuration and the MAC addresses of the nodes into the ConfigMap lanlord-state
// after each change, until ctx ends, and then returns nil. Only the leading controller calls KeepState. KeepState never
// removes a configuration, and never replaces a configuration by an older one.
func (s *Store) KeepState(ctx context.Context) error {
	if s.opt.ConfigMap == StateConfigMap {
		s.opt.Log.Error("the configuration is in the ConfigMap that Lanlord writes itself; the last accepted configuration is not kept",
			"configmap", s.opt.Namespace+"/"+StateConfigMap)
		<-ctx.Done()
		return nil
	}
	var had *stateRow
	retry, failing, left := newKeepRetry(), false, 0
	for ctx.Err() == nil {
		s.mu.Lock()
		ready := s.saved.synced
		want, version, beyond := s.keptState(had)
		s.mu.Unlock()
		if !ready || len(want) == 0 {
			s.keeping.wait(ctx, forever)
			continue
		}
		if beyond != left && beyond > 0 {
			s.opt.Log.Warn("not all MAC addresses of the nodes fit into the ConfigMap", "configmap", s.opt.Namespace+"/"+StateConfigMap, "left out", beyond)
		}
		left = beyond
		written, err := s.writeState(ctx, version, want)
		switch {
		case ctx.Err() != nil:
		case apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err):
			had = nil
			s.keeping.wait(ctx, conflictPause)
		case err != nil:
			if !failing {
				s.opt.Log.Warn("the last accepted configuration and the nodes are not kept; trying again", "err", err)
			}
			failing = true
			sleep(ctx, retry.Step())
		default:
			had, retry, failing = written, newKeepRetry(), false
			sleep(ctx, keepPause)
		}
	}
	return nil
}

// writeState writes entries of the ConfigMap if the ConfigMap still has the version, and returns the new content. If
// version is empty, writeState creates the ConfigMap first. Thus no process overwrites a version that the process has
// not seen.
func (s *Store) writeState(ctx context.Context, version string, entries map[string]string) (*stateRow, error) {
	ctx, cancel := context.WithTimeout(ctx, keepLimit)
	defer cancel()
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	if version == "" {
		created, err := do[*corev1.ConfigMap](ctx, s.opt.Client, Request{
			Verb: VerbCreate, Resource: configMaps, Namespace: s.opt.Namespace,
			Object: &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: s.opt.Namespace, Name: StateConfigMap}},
		})
		if err != nil {
			return nil, fmt.Errorf("create ConfigMap %s/%s: %w", s.opt.Namespace, StateConfigMap, err)
		}
		version = created.ResourceVersion
	}
	var patch struct {
		Metadata struct {
			ResourceVersion string `json:"resourceVersion"`
		} `json:"metadata"`
		Data map[string]string `json:"data"`
	}
	patch.Metadata.ResourceVersion, patch.Data = version, entries
	b, err := json.Marshal(patch)
	if err != nil {
		return nil, err
	}
	o, err := do[*corev1.ConfigMap](ctx, s.opt.Client, Request{
		Verb: VerbPatch, Resource: configMaps, Namespace: s.opt.Namespace, Name: StateConfigMap,
		Patch: b, PatchType: types.MergePatchType, FieldManager: s.opt.Component,
	})
	if err != nil {
		return nil, fmt.Errorf("patch ConfigMap %s/%s: %w", s.opt.Namespace, StateConfigMap, err)
	}
	row := convertState(o)
	return &row, nil
}

func newKeepRetry() wait.Backoff {
	return wait.Backoff{Duration: firstRetry, Cap: lastRetry, Steps: 5, Factor: 2, Jitter: 0.5}
}
