package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/inspect"
)

// look gathers the cluster for one command.
func (p *plugin) look(ctx context.Context, s scope) (*inspect.Cluster, access, error) {
	a, err := p.connect(p.config())
	if err != nil {
		return nil, a, err
	}
	told := newProgress(p.terminal)
	defer told.done()
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	told.say("looking for Lanlord")
	where, err := p.find(ctx, a)
	if err != nil {
		return nil, a, err
	}
	switch {
	case s != thorough:
		err = where.only()
	case !where.everywhere:
		err = where.searchOthers(ctx, a)
	}
	if err != nil {
		return nil, a, err
	}
	c, err := p.gather(ctx, a, where, s, told)
	return c, a, err
}

// command returns a command that looks at the cluster and prints a report.
func (p *plugin) command(use, short string, positional cobra.PositionalArgs, s scope,
	make func(ctx context.Context, c *inspect.Cluster, a access, args []string) (report, error)) *cobra.Command {
	command := &cobra.Command{Use: use, Short: short, Args: positional}
	format := outputFlag(command)
	command.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkOutput(*format); err != nil {
			return err
		}
		c, a, err := p.look(cmd.Context(), s)
		if err != nil {
			return err
		}
		r, wrong := make(cmd.Context(), c, a, args)
		if r == nil {
			return wrong
		}
		if err := p.print(r, *format); err != nil {
			return err
		}
		return wrong
	}
	return command
}

func (p *plugin) status() *cobra.Command {
	command := p.command("status", "Show Lanlord at a glance: speakers, pools, what waits, what is wrong", args("", 0, 0), ordinary,
		func(_ context.Context, c *inspect.Cluster, _ access, _ []string) (report, error) {
			return inspect.Look(c), nil
		})
	command.Long = command.Short + ".\n\nExit status 0 in any case; doctor is for scripts."
	command.Example = `  kubectl lanlord status
  kubectl lanlord status -o wide                        # with the versions, the Pods, and the problem of each speaker
  kubectl lanlord status -o json | jq '.services'       # the numbers of Services, announced and waiting`
	return command
}

func (p *plugin) who() *cobra.Command {
	command := p.command("who ADDRESS", "Show which node answers for an address, since when and why, and what each speaker thinks",
		func(c *cobra.Command, given []string) error {
			if err := args("one address", 1, 1)(c, given); err != nil {
				return err
			}
			_, err := parseAddress(given[0])
			return err
		}, ordinary,
		func(_ context.Context, c *inspect.Cluster, _ access, args []string) (report, error) {
			addr, err := parseAddress(args[0])
			if err != nil {
				return nil, err
			}
			answer := inspect.Who(c, addr)
			return answer, verdict(answer.Well(), answer.Known())
		})
	command.Long = command.Short + ".\n\nExit status 1 unless one node answers for it, and no other host."
	command.Example = `  kubectl lanlord who 192.0.2.10
  kubectl lanlord who 2001:db8::10 -o json | jq '.nodes'`
	command.ValidArgsFunction = p.completeAddresses
	return command
}

// verdict returns nil if all is well, errUnsure if the state is not known, and errWrong otherwise.
func verdict(well, known bool) error {
	switch {
	case well:
		return nil
	case !known:
		return errUnsure
	}
	return errWrong
}

func parseAddress(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		return addr, fmt.Errorf("%q is no IP address, such as 192.168.1.240 or 2001:db8::1", text)
	}
	return addr.Unmap(), nil
}

func (p *plugin) why() *cobra.Command {
	command := p.command("why SERVICE", "Explain why a Service has its address, or none",
		args("one Service: namespace/name, or a name with -n namespace", 1, 1), ordinary,
		func(ctx context.Context, c *inspect.Cluster, a access, args []string) (report, error) {
			key, err := p.serviceKey(args[0])
			if err != nil {
				return nil, err
			}
			e, err := p.explain(ctx, c, a, key)
			if err != nil {
				return nil, err
			}
			return e, verdict(e.Well, e.Known())
		})
	command.Long = command.Short + ", who answers for it and what happened to it.\n\nExit status 1 unless it has what it needs, and is announced."
	command.Example = `  kubectl lanlord why web                  # in the namespace of the context
  kubectl lanlord why -n shop cart
  kubectl lanlord why shop/cart -o yaml`
	command.ValidArgsFunction = p.completeServices
	return command
}

// explain explains a Service of Lanlord, or why a Service does not belong to Lanlord.
func (p *plugin) explain(ctx context.Context, c *inspect.Cluster, a access, key cluster.Key) (inspect.Explanation, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	if c.Service(key) == nil {
		o, err := a.client.CoreV1().Services(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return inspect.Explanation{}, fmt.Errorf("there is no Service %s", key)
		}
		if err != nil {
			return inspect.Explanation{}, describe(err)
		}
		class := ""
		if o.Spec.LoadBalancerClass != nil {
			class = *o.Spec.LoadBalancerClass
		}
		return inspect.WhyNot(c, key, string(o.Spec.Type), class), nil
	}
	events, err := p.events(ctx, a, key)
	if apierrors.IsForbidden(err) {
		c.Gaps = append(c.Gaps, inspect.Gap{What: inspect.OfEvents, Right: "list events in " + key.Namespace, Reason: err.Error()})
		return inspect.Why(c, key, nil), nil
	}
	if err != nil {
		return inspect.Explanation{}, describe(err)
	}
	return inspect.Why(c, key, events), nil
}

// events returns the Events about a Service.
func (p *plugin) events(ctx context.Context, a access, key cluster.Key) ([]inspect.Event, error) {
	list, err := a.client.CoreV1().Events(key.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.Set{"involvedObject.kind": "Service", "involvedObject.name": key.Name}.String(),
	})
	if err != nil {
		return nil, err
	}
	return convertEvents(list.Items, key.Name), nil
}

func (p *plugin) versions() *cobra.Command {
	var client bool
	command := &cobra.Command{Use: "version", Short: "Print the versions of the plugin and of Lanlord's processes", Args: args("", 0, 0)}
	command.Example = `  kubectl lanlord version
  kubectl lanlord version --client`
	format := outputFlag(command)
	command.Flags().BoolVar(&client, "client", false, "Print the plugin's version only, and ask no cluster")
	command.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(*format); err != nil {
			return err
		}
		if client {
			return p.print(inspect.Versions{Plugin: p.version}, *format)
		}
		c, _, err := p.look(cmd.Context(), ordinary)
		if err != nil {
			return errors.Join(p.print(inspect.Versions{Plugin: p.version}, *format), err)
		}
		return p.print(inspect.VersionsOf(c, p.version), *format)
	}
	return command
}
