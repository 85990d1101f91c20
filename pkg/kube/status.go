package kube

import (
	"errors"
	"fmt"

	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/status"
)

// Configuration tells what became of the ConfigMap.
func (s *Store) Configuration() status.Configuration {
	s.mu.Lock()
	state, cfg, use := s.state, s.config, s.configUse
	s.mu.Unlock()
	c := status.Configuration{
		Source: state.Object.Namespace + "/" + state.Object.Name, Version: state.Version, Loaded: use.since.UTC(),
		Stale: state.Problem != nil, Problems: []string{}, Warnings: []string{},
	}
	if list, ok := errors.AsType[*config.Problems](state.Problem); ok {
		for _, p := range list.List {
			c.Problems = append(c.Problems, p.String())
		}
	} else if state.Problem != nil {
		c.Problems = append(c.Problems, state.Problem.Error())
	}
	if cfg != nil {
		c.Hash = fmt.Sprintf("%012x", uint64(use.hash))
		for _, w := range cfg.Warnings {
			c.Warnings = append(c.Warnings, w.String())
		}
	}
	return c
}
