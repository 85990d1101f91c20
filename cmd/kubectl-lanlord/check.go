package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/kube"
	"github.com/lanlord/lanlord/pkg/rehearsal"
)

// fileFlag adds -f to a command.
func fileFlag(c *cobra.Command) *string {
	file := c.Flags().StringP("filename", "f", "",
		"File with the configuration: the ConfigMap or the bare document; - for standard input")
	_ = c.MarkFlagRequired("filename")
	_ = c.MarkFlagFilename("filename", "yaml", "yml", "json")
	return file
}

func readFile(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(os.Stdin)
	}
	return os.ReadFile(name)
}

// refused prints the problems of a configuration, and returns the error for the exit status.
func (p *plugin) refused(err error) error {
	if _, is := errors.AsType[*config.Problems](err); !is {
		return err
	}
	fmt.Fprintln(p.stdout, err)
	return errWrong
}

func (p *plugin) check() *cobra.Command {
	command := &cobra.Command{
		Use: "check -f FILE", Short: "Check a configuration in a file, and explain what it means", Args: args("", 0, 0),
		Long: "Checks a configuration in a file, without a cluster: prints every problem with its line, or what the " +
			"configuration means.\n\nExit status 1 if Lanlord would refuse the configuration. diff -f FILE shows what it would change.",
		Example: `  kubectl lanlord check -f config.yaml
  kubectl get -n lanlord-system configmap config -o yaml | kubectl lanlord check -f -`,
	}
	file := fileFlag(command)
	command.RunE = func(*cobra.Command, []string) error {
		data, err := readFile(*file)
		if err != nil {
			return err
		}
		if err := config.Check(data, p.stdout); err != nil {
			return p.refused(err)
		}
		cfg, err := config.Read(data)
		if err != nil {
			return err
		}
		if err := cfg.CheckPools(); err != nil {
			fmt.Fprintln(p.stdout, err)
			return errWrong
		}
		return nil
	}
	return command
}

func (p *plugin) diff() *cobra.Command {
	command := &cobra.Command{
		Use: "diff -f FILE", Short: "Show which Services a configuration in a file would give other addresses",
		Args: args("", 0, 0),
		Long: "Shows which Services of the cluster would get other addresses, or none, if the file were the configuration. " +
			"It changes nothing.\n\nIt needs the rights of Lanlord's controller to list and watch. Exit status 1 if a Service " +
			"would get another address, or the configuration would be refused.",
		Example: `  kubectl lanlord diff -f config.yaml
  kubectl lanlord diff -f config.yaml -o json | jq '.changes[] | {namespace, name, before, after}'`,
	}
	format := outputFlag(command)
	file := fileFlag(command)
	command.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(*format); err != nil {
			return err
		}
		data, err := readFile(*file)
		if err != nil {
			return err
		}
		cfg, err := config.Read(data)
		if err == nil {
			err = cfg.CheckPools()
		}
		if err != nil {
			return p.refused(err)
		}
		plan, err := p.rehearse(cmd.Context(), cfg, data)
		if err != nil {
			return err
		}
		if err := p.print(plan, *format); err != nil {
			return err
		}
		if len(plan.Changes) > 0 {
			return errWrong
		}
		return nil
	}
	return command
}

// rehearse compares a configuration with the cluster. data is the file of the configuration.
func (p *plugin) rehearse(ctx context.Context, cfg *config.Config, data []byte) (rehearsal.Plan, error) {
	a, err := p.connect(p.config())
	if err != nil {
		return rehearsal.Plan{}, err
	}
	where, err := p.find(ctx, a)
	if err == nil {
		err = where.forbidden
	}
	if err == nil {
		err = where.only()
	}
	if err != nil {
		return rehearsal.Plan{}, describe(err)
	}
	o := kube.Options{Namespace: where.namespace, Log: slog.New(slog.DiscardHandler)}
	g := &gatherer{namespace: where.namespace}
	g.configuredBy(where.pods)
	if c := controllerContainer(where.pods); c != nil {
		o.Gateways = isSet(c, "gateways")
	}
	o.ConfigMap, o.MetalLB, o.LoadBalancerClass = g.cluster.Config.Name, g.cluster.Config.MetalLB, g.cluster.Class
	if o.Client, err = a.watcher(); err != nil {
		return rehearsal.Plan{}, err
	}
	plan, err := rehearsal.New(ctx, cfg, o)
	if err != nil {
		return plan, describe(err)
	}
	namespace, name := config.Object(data)
	if name != "" && (name != o.ConfigMap || namespace != "" && namespace != o.Namespace) {
		plan.Notes = append(plan.Notes, fmt.Sprintf("the file has the ConfigMap %s, and the controller in %s reads the ConfigMap %s",
			strings.TrimPrefix(namespace+"/"+name, "/"), o.Namespace, o.ConfigMap))
	}
	if cfg.Announces(o.LoadBalancerClass) {
		plan.Warnings = append(plan.Warnings, "announce-classes has the class of Lanlord itself, which changes nothing")
	}
	return plan, nil
}
