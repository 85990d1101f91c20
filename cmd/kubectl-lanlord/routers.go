package main

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"

	"github.com/lanlord/lanlord/pkg/inspect"
)

func (p *plugin) peers() *cobra.Command {
	var node string
	var problems bool
	command := p.command("peers", "List the BGP sessions of all nodes: state, prefixes, BFD, and why a session is down",
		args("", 0, 0), ordinary,
		func(_ context.Context, c *inspect.Cluster, _ access, _ []string) (report, error) {
			return inspect.Peers(c).Only(node, problems), nil
		})
	command.Aliases = []string{"peer"}
	command.Flags().StringVar(&node, "node", "", "List only the sessions of the node")
	command.Flags().BoolVar(&problems, "problems", false, "List only the sessions that are not established")
	_ = command.RegisterFlagCompletionFunc("node", p.completeNodeFlag)
	command.Long = command.Short + ".\n\nPREFIXES counts the prefixes that the router has been sent, and those that it " +
		"should have. BFD shows the state, the interval and the detection time. Exit status 0 in any case; doctor is for scripts."
	command.Example = `  kubectl lanlord peers            # one line for each node and router
  kubectl lanlord peers --node n2 --problems
  kubectl lanlord peers -o wide    # with the local address, the AS numbers, the hold time and the number of resets
  kubectl lanlord peers -o json | jq '.sessions[] | select(.up | not) | {node, name, reason, message, fix}'`
	return command
}

func (p *plugin) routes() *cobra.Command {
	command := p.command("routes [ADDRESS|SERVICE]", "Show which nodes announce an address by BGP to which routers, "+
		"and why others do not",
		args("at most one address or Service", 0, 1), ordinary,
		func(_ context.Context, c *inspect.Cluster, _ access, args []string) (report, error) {
			if len(args) == 0 {
				return inspect.Routes(c), nil
			}
			l, err := p.routesOf(c, args[0])
			if err != nil {
				return nil, err
			}
			return l, verdict(l.Well(), l.Known())
		})
	command.Long = command.Short + ".\n\nWithout an argument it lists all addresses of pools with protocol bgp. With " +
		"one, exit status 1 unless at least one node announces each address to a router."
	command.Example = `  kubectl lanlord routes                   # one line for each address
  kubectl lanlord routes 198.51.100.1      # one address: routers, nodes, and the reasons of the other nodes
  kubectl lanlord routes default/web       # the addresses of a Service
  kubectl lanlord routes -n default web`
	command.Aliases = []string{"route"}
	command.ValidArgsFunction = p.completeRoutes
	return command
}

// routesOf shows the announcements of an address or a Service.
func (p *plugin) routesOf(c *inspect.Cluster, argument string) (inspect.RouteList, error) {
	if _, err := netip.ParseAddr(argument); err == nil {
		addr, err := parseAddress(argument)
		return inspect.RoutesOfAddress(c, addr), err
	}
	key, err := p.serviceKey(argument)
	if err != nil {
		return inspect.RouteList{}, err
	}
	if c.Service(key) == nil {
		return inspect.RouteList{}, fmt.Errorf("no Service of Lanlord is called %s; kubectl lanlord why %s says more", key,
			key)
	}
	return inspect.RoutesOfService(c, key), nil
}

// completeRoutes offers addresses and Services.
func (p *plugin) completeRoutes(c *cobra.Command, given []string, typed string) ([]string, cobra.ShellCompDirective) {
	addresses, directive := p.completeAddresses(c, given, typed)
	services, _ := p.completeServices(c, given, typed)
	return append(addresses, services...), directive
}
