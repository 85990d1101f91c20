package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// plugin holds the state of one run of the program.
type plugin struct {
	world
	stdout, stderr io.Writer
	// terminal is standard error for text that may control the terminal.
	terminal io.Writer
	// binary is standard output for bytes that are no text.
	binary io.Writer

	rules     *clientcmd.ClientConfigLoadingRules
	overrides clientcmd.ConfigOverrides
	// namespace is Lanlord's namespace. An empty namespace makes find search for Lanlord.
	namespace string
	timeout   time.Duration
}

// visible lists the flags of all commands that help shows. Help hides the other flags, which kubectl has too.
var visible = [...]string{"kubeconfig", "context", "namespace", "lanlord-namespace", "timeout"}

func (p *plugin) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "kubectl-lanlord",
		Short: "Show what Lanlord does in a cluster, who has which address and why, and what is wrong",
		Long: "Shows what Lanlord does in a cluster, who has which address and why, and what is wrong.\n\n" +
			"It reads the API server, and asks Lanlord's own processes by executing \"speaker status\" and \"controller status\" in their " +
			"pods. Exit status: 0 when it has done what it was asked, 1 when doctor, who, why, routes or move find that something is not as it should be, 2 for all other errors.",
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl lanlord"},
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	p.flags(root.PersistentFlags())
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fmt.Errorf("%w; see %s --help", err, c.CommandPath())
	})
	root.AddCommand(p.status(), p.pools(), p.services(), p.who(), p.why(), p.move(), p.peers(), p.routes(),
		p.doctor(), p.probe(), p.check(), p.diff(), p.plan(), p.watch(), p.page(), p.dump(), p.versions())
	for _, c := range root.Commands() {
		p.bound(c)
		_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"wide", "json", "yaml"}, cobra.ShellCompDirectiveNoFileComp))
	}
	_ = root.RegisterFlagCompletionFunc("context", p.completeContexts)
	_ = root.RegisterFlagCompletionFunc("namespace", p.completeNamespaces)
	_ = root.RegisterFlagCompletionFunc("lanlord-namespace", p.completeNamespaces)
	return root
}

// bound ends the command after the time of --timeout. watch and page have no end, and move waits for longer unless the user gives
// --timeout: all limit each single question.
func (p *plugin) bound(c *cobra.Command) {
	run := c.RunE
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if p.timeout <= 0 {
			return fmt.Errorf("--timeout %v is too short: must be a duration above 0, such as 20s", p.timeout)
		}
		if name := cmd.Name(); name == "watch" || name == "page" || name == "move" && !cmd.Flags().Changed("timeout") {
			return run(cmd, args)
		}
		if cmd.Name() == "dump" && !cmd.Flags().Changed("timeout") {
			p.timeout = dumpTimeout
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), p.timeout)
		defer cancel()
		cmd.SetContext(ctx)
		return run(cmd, args)
	}
}

// flags defines the flags of all commands: kubectl's flags, --lanlord-namespace and --timeout.
func (p *plugin) flags(set *pflag.FlagSet) {
	p.rules = clientcmd.NewDefaultClientConfigLoadingRules()
	p.rules.MigrationRules = nil
	clientcmd.BindOverrideFlags(&p.overrides, set, clientcmd.RecommendedConfigOverrideFlags(""))
	set.StringVar(&p.rules.ExplicitPath, clientcmd.RecommendedConfigPathFlag, "", "Path to the kubeconfig file; the default is $KUBECONFIG, else ~/.kube/config")
	set.StringVar(&p.namespace, "lanlord-namespace", "", "Namespace that Lanlord is in; by default it is found by its label")
	set.DurationVar(&p.timeout, "timeout", 20*time.Second, "How long the command may take; with watch, how long each look may take")
	set.VisitAll(func(f *pflag.Flag) { f.Hidden = !slices.Contains(visible[:], f.Name) })
	set.Lookup("context").Usage = "Name of the context in the kubeconfig file to use"
	set.Lookup("namespace").Usage = "Namespace of the Services; the default is that of the context"
}

// config returns the kubeconfig with the overrides in the flags.
func (p *plugin) config() clientcmd.ClientConfig {
	return clientcmd.NewInteractiveDeferredLoadingClientConfig(p.rules, &p.overrides, os.Stdin)
}

// rawConfig returns the kubeconfig without the overrides in flags such as --context.
func (p *plugin) rawConfig() (api.Config, error) { return p.config().RawConfig() }

// serviceKey returns the Service in an argument: namespace/name, or a name in the namespace of -n or of the context.
func (p *plugin) serviceKey(argument string) (cluster.Key, error) {
	namespace, name, both := strings.Cut(argument, "/")
	if !both || slices.Contains([]string{"service", "services", "svc"}, namespace) {
		if !both {
			name = namespace
		}
		var err error
		if namespace, _, err = p.config().Namespace(); err != nil {
			return cluster.Key{}, describe(err)
		}
	}
	if namespace == "" || name == "" || strings.Contains(name, "/") {
		return cluster.Key{}, fmt.Errorf("%q names no Service: give namespace/name, or a name with -n namespace", argument)
	}
	return cluster.Key{Namespace: namespace, Name: name}, nil
}

// args returns a check of the number of arguments. The error of the check describes the arguments of the command.
func args(what string, least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, given []string) error {
		if len(given) >= least && len(given) <= most {
			return nil
		}
		if what == "" {
			return fmt.Errorf("%s takes no arguments, not %q", c.CommandPath(), strings.Join(given, " "))
		}
		return errors.New(c.CommandPath() + " takes " + what + "; see " + c.CommandPath() + " --help")
	}
}
