package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/lanlord/lanlord/pkg/inspect"
)

func (p *plugin) pools() *cobra.Command {
	command := p.command("pools [NAME...]", "List the pools, and what of them is in use", cobra.ArbitraryArgs, ordinary,
		func(_ context.Context, c *inspect.Cluster, _ access, names []string) (report, error) {
			list, unknown := inspect.Pools(c).Only(names)
			if len(unknown) > 0 {
				return list, fmt.Errorf("no pool is called %s; kubectl lanlord pools lists all", strings.Join(unknown, ", "))
			}
			return list, nil
		})
	command.Aliases = []string{"pool"}
	command.Example = `  kubectl lanlord pools
  kubectl lanlord pools lan -o wide        # with the ranges of addresses
  kubectl lanlord pools -o json | jq '.pools[] | {name, family, free}'`
	command.ValidArgsFunction = p.completePools
	return command
}

func (p *plugin) services() *cobra.Command {
	var (
		all      bool
		selector string
		filter   inspect.Filter
	)
	command := p.command("services [NAME...]", "List the Services with their addresses, and who answers for them",
		cobra.ArbitraryArgs, ordinary,
		func(_ context.Context, c *inspect.Cluster, _ access, names []string) (report, error) {
			f, err := p.filter(filter, all, selector, names)
			if err != nil {
				return nil, err
			}
			list, unknown := inspect.FilteredServices(c, f)
			for _, key := range unknown {
				err = errors.Join(err, fmt.Errorf("no Service of Lanlord is called %s; kubectl lanlord why %s says more", key, key))
			}
			return list, err
		})
	command.Aliases = []string{"service", "svc"}
	command.Long = "Lists the Services with their addresses, and who answers for them: of all namespaces (-A, the default), " +
		"or of the one that -n names. A NAME is a name in the namespace of -n or of the context, or namespace/name."
	command.Example = `  kubectl lanlord services                 # of all namespaces
  kubectl lanlord services -n shop
  kubectl lanlord services shop/cart default/web
  kubectl lanlord services -l tier=front --pool lan
  kubectl lanlord services --node n2       # that n2 announces
  kubectl lanlord services --problems -o wide`
	flags := command.Flags()
	flags.BoolVarP(&all, "all-namespaces", "A", false, "List the Services of all namespaces; the default unless -n is given")
	flags.StringVarP(&selector, "selector", "l", "", "Labels of the Services, such as tier=front,env!=test")
	flags.StringVar(&filter.Pool, "pool", "", "List only the Services with an address of the pool")
	flags.StringVar(&filter.Node, "node", "", "List only the Services with an address that the node announces")
	flags.BoolVar(&filter.Problems, "problems", false,
		"List only the Services that lack an address, or have one that is not announced for certain")
	_ = command.RegisterFlagCompletionFunc("pool", p.completePools)
	_ = command.RegisterFlagCompletionFunc("node", p.completeNodeFlag)
	command.ValidArgsFunction = p.completeServiceList
	return command
}

// filter adds the namespace, the labels and the names from the command line to a filter.
func (p *plugin) filter(f inspect.Filter, all bool, selector string, names []string) (inspect.Filter, error) {
	if !all {
		f.Namespace = p.overrides.Context.Namespace // an empty namespace means all namespaces
	}
	if len(names) > 0 && selector != "" {
		return f, errors.New("give either names or --selector")
	}
	if selector != "" {
		parsed, err := labels.Parse(selector)
		if err != nil {
			return f, fmt.Errorf("--selector: %w", err)
		}
		f.Selector = parsed
	}
	for _, name := range names {
		key, err := p.serviceKey(name)
		if err != nil {
			return f, err
		}
		f.Keys = append(f.Keys, key)
	}
	return f, nil
}

func (p *plugin) completePools(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return p.completions(c, func(ctx context.Context, a access) (names []string) {
		where, err := p.find(ctx, a)
		if err != nil {
			return nil
		}
		g := &gatherer{access: a, namespace: where.namespace, progress: newProgress(nil)}
		g.configuredBy(where.pods)
		if g.gatherConfig(ctx) != nil || g.cluster.Config.Config == nil {
			return nil
		}
		for _, pool := range g.cluster.Config.Config.Pools {
			names = append(names, pool.Name)
		}
		return names
	})
}

func (p *plugin) completeNodeFlag(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return p.completeNodes(c)
}

// completeServiceList offers the Services that are not on the command line yet.
func (p *plugin) completeServiceList(c *cobra.Command, given []string, typed string) ([]string, cobra.ShellCompDirective) {
	words, directive := p.completeServices(c, nil, typed)
	return slices.DeleteFunc(words, func(word string) bool { return slices.Contains(given, word) }), directive
}
