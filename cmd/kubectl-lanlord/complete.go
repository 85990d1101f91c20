package main

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanlord/lanlord/pkg/inspect"
)

// completionLimit is the longest time that a user waits after a press of the tab key.
const completionLimit = 3 * time.Second

// completions returns the words that ask gets from the API server. If the API server does not answer, completions
// returns no words.
func (p *plugin) completions(c *cobra.Command, ask func(context.Context, access) []string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(c.Context(), completionLimit)
	defer cancel()
	a, err := p.connect(p.config())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return ask(ctx, a), cobra.ShellCompDirectiveNoFileComp
}

func (p *plugin) completeContexts(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	raw, err := p.rawConfig()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.Sorted(maps.Keys(raw.Contexts)), cobra.ShellCompDirectiveNoFileComp
}

func (p *plugin) completeNamespaces(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return p.completions(c, func(ctx context.Context, a access) (names []string) {
		list, err := a.client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil
		}
		for _, o := range list.Items {
			names = append(names, o.Name)
		}
		return names
	})
}

// completeServices offers Lanlord's Services as namespace/name, and the Services in the namespace of -n or of the
// context also by name alone. For the second argument of move, completeServices offers nodes.
func (p *plugin) completeServices(c *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
	switch {
	case len(given) > 1, len(given) == 1 && c.Name() != "move":
		return nil, cobra.ShellCompDirectiveNoFileComp
	case len(given) == 1:
		return p.completeNodes(c)
	}
	namespace, _, err := p.config().Namespace()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return p.completions(c, func(ctx context.Context, a access) (words []string) {
		for _, s := range p.servicesOf(ctx, a).Services {
			if s.Key.Namespace == namespace {
				words = append(words, s.Key.Name)
			}
			words = append(words, s.Key.String())
		}
		return words
	})
}

func (p *plugin) completeNodes(c *cobra.Command) ([]string, cobra.ShellCompDirective) {
	return p.completions(c, func(ctx context.Context, a access) (names []string) {
		list, err := a.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil
		}
		for _, o := range list.Items {
			names = append(names, o.Name)
		}
		return names
	})
}

func (p *plugin) completeAddresses(c *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(given) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return p.completions(c, func(ctx context.Context, a access) (words []string) {
		for _, s := range p.servicesOf(ctx, a).Services {
			for _, addr := range s.Ingress {
				words = append(words, addr.String()+"\t"+s.Key.String())
			}
		}
		return words
	})
}

// servicesOf returns a Cluster that holds only Services.
func (p *plugin) servicesOf(ctx context.Context, a access) *inspect.Cluster {
	namespace, _, err := p.config().Namespace()
	if err != nil {
		return &inspect.Cluster{}
	}
	g := &gatherer{access: a, fallback: namespace, progress: newProgress(nil)}
	if where, err := p.find(ctx, a); err == nil {
		g.configuredBy(where.pods)
		g.cluster.ClassUnknown = where.forbidden != nil
	}
	_ = g.gatherServices(ctx) // without an answer, completion offers nothing
	return &g.cluster
}
