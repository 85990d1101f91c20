package kube

import (
	"errors"
	"fmt"

	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/metallb"
	"github.com/lanlord/lanlord/pkg/status"
)

// Configuration returns the state of the configuration for the status page.
func (s *Store) Configuration() status.Configuration {
	s.mu.Lock()
	choice := s.config
	s.mu.Unlock()
	source, kind := choice.object.Namespace+"/"+choice.object.Name, status.FromConfigMap
	if choice.metallb {
		source, kind = choice.object.Name, status.FromMetalLB
	}
	c := status.Configuration{
		Source: source, Kind: kind, Version: choice.version, Loaded: choice.since.UTC(),
		Stale: choice.refusal != nil, Problems: []string{}, Warnings: []string{},
	}
	if text := choice.fallback(); text != "" {
		c.Problems = append(c.Problems, text)
	}
	if list, ok := errors.AsType[*config.Problems](choice.refusal); ok {
		for _, p := range list.List {
			c.Problems = append(c.Problems, p.String())
		}
	} else if list, ok := errors.AsType[*metallb.Problems](choice.refusal); ok {
		for _, p := range list.List {
			c.Problems = append(c.Problems, p.String())
		}
	} else if choice.refusal != nil {
		c.Problems = append(c.Problems, choice.refusal.Error())
	}
	if cfg := choice.config(); cfg != nil {
		c.Hash = fmt.Sprintf("%012x", choice.shortHash())
		for _, w := range cfg.Warnings {
			c.Warnings = append(c.Warnings, w.String())
		}
	}
	return c
}
