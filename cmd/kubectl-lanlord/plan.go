package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/inspect"
	"github.com/lanlord/lanlord/pkg/kube"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/reason"
	"github.com/lanlord/lanlord/pkg/rehearsal"
)

func (p *plugin) plan() *cobra.Command {
	var node string
	command := p.command("plan --without NODE", "Show which nodes would take over the addresses of a node that goes",
		args("", 0, 0), ordinary,
		func(ctx context.Context, c *inspect.Cluster, a access, _ []string) (report, error) {
			d, err := p.without(ctx, c, a, node)
			switch {
			case err != nil:
				return nil, err
			case len(d.Notes) > 0:
				return d, errUnsure
			case d.Lost():
				return d, errWrong
			}
			return d, nil
		})
	command.Long = command.Short + ", for example before a drain or a shutdown. It changes nothing.\n\n" +
		"The answer comes from the same election as in the speakers, without the node and the Pods on it. Exit status 1 if an " +
		"address would be without a node, 2 if a speaker could not be asked."
	command.Example = `  kubectl lanlord plan --without n2
  kubectl lanlord plan --without n2 -o json | jq '.addresses[] | {address, owner}'`
	command.Flags().StringVar(&node, "without", "", "Node that goes")
	_ = command.MarkFlagRequired("without")
	_ = command.RegisterFlagCompletionFunc("without", p.completeNodeFlag)
	return command
}

// without asks the election for the owners of addresses without a node.
func (p *plugin) without(ctx context.Context, c *inspect.Cluster, a access, node string) (rehearsal.Departure, error) {
	snap := cluster.Snapshot{Config: c.Config.Config, Services: make([]*cluster.Service, len(c.Services))}
	known := false
	for _, n := range c.Nodes {
		snap.Nodes = append(snap.Nodes, n.Node)
		known = known || n.Name == node
	}
	switch {
	case len(c.Nodes) == 0 || c.Config.Config == nil || !inspect.Asked(c):
		p.noteGaps(c)
		return rehearsal.Departure{}, errors.New("the Nodes, the configuration and the speakers must be known for a plan; " +
			"kubectl lanlord doctor says what is missing")
	case !known:
		return rehearsal.Departure{}, fmt.Errorf("there is no node %q; kubectl get nodes lists them", node)
	}
	endpoints, err := a.client.DiscoveryV1().EndpointSlices("").List(ctx, metav1.ListOptions{})
	if apierrors.IsForbidden(err) {
		return rehearsal.Departure{}, fmt.Errorf("the right to list endpointslices.discovery.k8s.io is missing, which plan needs: %w", err)
	}
	if err != nil {
		return rehearsal.Departure{}, describe(err)
	}
	for i := range c.Services {
		snap.Services[i] = &c.Services[i]
	}
	for i := range c.Foreign {
		if s := &c.Foreign[i].Service; s.Key.Name != "" {
			snap.Others = append(snap.Others, s)
		}
	}
	kube.AddEndpoints(append(snap.Services[:len(snap.Services):len(snap.Services)], snap.Others...), endpoints.Items)
	members, owned, notes := electorate(c, node)
	d := rehearsal.Without(snap, members, node, owned)
	d.Addresses = append(d.Addresses, onlyRouter(c, node)...)
	d.Notes = notes
	return d, nil
}

// electorate returns the ready speakers as members, the addresses that the node answers for, and notes about speakers
// that could not be asked.
func electorate(c *inspect.Cluster, node string) (members []membership.Member, owned []netip.Addr, notes []string) {
	for i := range c.Speakers {
		s := &c.Speakers[i]
		switch {
		case s.Says == nil && s.Ready:
			notes = append(notes, fmt.Sprintf("the speaker on %s could not be asked, and is left out: %s", s.Node, s.Silence))
		case s.Says == nil || s.Says.State != membership.Ready.String():
		default:
			members = append(members, member(s))
		}
		if s.Says == nil || s.Node != node {
			continue
		}
		for _, o := range s.Says.Owned {
			if addr, err := netip.ParseAddr(o.Address); err == nil {
				owned = append(owned, addr)
			}
		}
	}
	return members, owned, notes
}

func member(s *inspect.Speaker) membership.Member {
	m := membership.Member{
		Name: s.Node, State: membership.Ready, Since: s.Says.Since, Configured: s.Says.Configuration.Hash != "",
	}
	for _, i := range s.Says.Interfaces {
		if !i.Used || !i.Carrier {
			continue
		}
		link := membership.Link{Name: i.Name}
		for _, text := range i.Subnets {
			if subnet, err := netip.ParsePrefix(text); err == nil {
				link.Subnets = append(link.Subnets, subnet.Masked())
			}
		}
		m.Links = append(m.Links, link)
	}
	return m
}

// onlyRouter returns the addresses that no node but this one announces by BGP.
func onlyRouter(c *inspect.Cluster, node string) (lost []rehearsal.Departed) {
	list, _ := inspect.FilteredServices(c, inspect.Filter{Node: node})
	for _, s := range list.Services {
		for _, a := range s.Addresses {
			if a.Routing == nil || a.Routing.Nodes != 1 || !a.AnnouncedBy(node) || len(a.Nodes) > 0 {
				continue
			}
			if slices.ContainsFunc(lost, func(x rehearsal.Departed) bool { return x.Address == a.Address }) {
				continue // shared with a Service before
			}
			services := append([]string{s.Namespace + "/" + s.Name}, a.SharedWith...)
			slices.Sort(services)
			lost = append(lost, rehearsal.Departed{
				Address: a.Address, Services: services, Reason: reason.Routed.String(),
				Message: "no other node announces the address by BGP now",
			})
		}
	}
	return lost
}
