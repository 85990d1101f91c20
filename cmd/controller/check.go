package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/controller"
	"github.com/lanlord/lanlord/pkg/daemon"
	"github.com/lanlord/lanlord/pkg/kube"
)

// syncTimeout is the time in which the cluster must be read.
const syncTimeout = 30 * time.Second

// check prints the meaning of the configuration in file, or returns all errors in the configuration. With
// againstCluster, check also prints the changes that the configuration would make in the cluster. check itself changes
// nothing, and returns daemon.ErrFailed if a Service would lose an address.
func check(ctx context.Context, file string, againstCluster bool, set *flag.FlagSet, flags daemon.Flags, gateways bool, stdout io.Writer) error {
	data, err := readFile(file)
	if err != nil {
		return fmt.Errorf("--check-config: %w", err)
	}
	if err := config.Check(data, stdout); err != nil {
		return err
	}
	cfg, err := config.Read(data)
	if err == nil {
		err = printOwnClass(cfg, flags.LoadBalancerClass, stdout)
	}
	if err == nil {
		err = cfg.CheckPools()
	}
	if err != nil || !againstCluster {
		return err
	}
	p, err := preview(ctx, cfg, wantedBy(set, flags, data), flags, gateways)
	if err != nil {
		return fmt.Errorf("--against-cluster: %w", err)
	}
	if err := p.print(stdout); err != nil {
		return err
	}
	if slices.ContainsFunc(p.changes, withdraws) {
		return daemon.ErrFailed // the table shows the lost addresses
	}
	return nil
}

// secretFolders lists the folders from which readFile refuses to read: the tokens and Secrets of a container, and the
// kernel's view of other processes. A person who may only run commands in the container must not be able to print these
// files.
var secretFolders = []string{"/run/secrets", "/var/run/secrets", "/proc", "/sys"}

// readFile returns the content of a file, or of standard input if the file is called -. readFile refuses files in
// secretFolders, also behind a symbolic link.
func readFile(file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(os.Stdin)
	}
	return readFileOutside(file, secretFolders)
}

// readFileOutside returns the content of a file outside of the folders. A symbolic link into a folder counts as inside.
func readFileOutside(file string, folders []string) ([]byte, error) {
	path, err := filepath.EvalSymlinks(file)
	if err != nil {
		return nil, err
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	for _, folder := range folders {
		if strings.HasPrefix(path, folder+"/") {
			return nil, fmt.Errorf("%s is below %s, where no configuration belongs; give the configuration on standard "+
				"input, with - for the file", file, folder)
		}
	}
	return os.ReadFile(path)
}

// plan lists the changes that a configuration would make in the cluster.
type plan struct {
	// at names the ConfigMap for the configuration.
	at      string
	changes []controller.Change
	// notes list unknown facts, and objects that the cluster lacks.
	notes []string
	// warnings list facts about the configuration in this cluster that a user should know.
	warnings []string
	// delay is the withdraw-delay of the change. delayed is the number of Services that keep their addresses for delay.
	delay   time.Duration
	delayed int
}

// preview reads the cluster and returns the changes that cfg would make, and other facts that a user should know before
// the change.
func preview(ctx context.Context, cfg *config.Config, w wanted, flags daemon.Flags, gateways bool) (plan, error) {
	client, err := kube.Connect(flags.Kubeconfig, name)
	if err != nil {
		return plan{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	notes, err := locate(ctx, client, w, &flags)
	if err != nil {
		return plan{}, err
	}
	options := storeOptions(flags, client)
	options.Gateways = gateways
	options.Log = slog.New(slog.DiscardHandler)
	store := kube.New(options)
	ended := make(chan error, 1)
	go func() { ended <- store.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	if err := store.WaitSynced(ctx); err != nil {
		return plan{}, err
	}
	snapshot := store.Snapshot()
	p := plan{
		at:      fmt.Sprintf("ConfigMap %s/%s", flags.Namespace, flags.ConfigMap),
		changes: controller.Preview(snapshot, cfg), notes: notes, warnings: controller.Notes(snapshot, cfg),
		delay: cfg.Allocation.WithdrawDelay,
	}
	if was := snapshot.Config; was != nil {
		p.delay = cfg.WithdrawDelayAfter(was)
		atOnce := controller.Preview(snapshot, cfg.WithPast([]config.Past{{Config: was, Until: time.Now().Add(p.delay)}}))
		p.delayed = countWithdrawing(p.changes) - countWithdrawing(atOnce)
	}
	p.checkSecrets(ctx, client, cfg, flags.Namespace)
	return p, nil
}

// checkSecrets adds notes about passwords of peers that are missing in the namespace of Lanlord.
func (p *plan) checkSecrets(ctx context.Context, client kube.Client, cfg *config.Config, namespace string) {
	for _, peer := range cfg.Peers {
		if peer.PasswordSecret == (config.SecretKey{}) {
			continue
		}
		if problem := kube.MissingSecret(ctx, client, namespace, peer.PasswordSecret.Secret, peer.PasswordSecret.Key); problem != "" {
			p.notes = append(p.notes, fmt.Sprintf("peer %q: %s", peer.Name, problem))
		}
	}
}

func countWithdrawing(changes []controller.Change) (n int) {
	for _, c := range changes {
		if withdraws(c) {
			n++
		}
	}
	return n
}

// withdraws reports whether a Service would lose an address.
func withdraws(c controller.Change) bool {
	return slices.ContainsFunc(c.Before, func(a netip.Addr) bool { return !slices.Contains(c.After, a) })
}

func (p *plan) print(out io.Writer) error {
	fmt.Fprintf(out, "\nagainst the cluster, as %s\n", p.at)
	for _, note := range p.notes {
		fmt.Fprintf(out, "note: %s\n", note)
	}
	for _, warning := range p.warnings {
		fmt.Fprintf(out, "warning: %s\n", warning)
	}
	if len(p.changes) == 0 {
		_, err := fmt.Fprintln(out, "\nNo Service of the cluster would get another address.")
		return err
	}
	fmt.Fprintf(out, "\n%s of the cluster would get other addresses:\n", services(len(p.changes)))
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SERVICE\tNOW\tTHEN\tREASON")
	for _, c := range p.changes {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s: %s\n", c.Service, list(c.Before), list(c.After), c.Reason, c.Message)
	}
	if err := table.Flush(); err != nil || p.delay == 0 || p.delayed == 0 {
		return err
	}
	_, err := fmt.Fprintf(out, "\n%d of these would keep the old addresses for %s first (withdraw-delay).\n", p.delayed, p.delay)
	return err
}

func services(n int) string {
	if n == 1 {
		return "1 Service"
	}
	return fmt.Sprintf("%d Services", n)
}

// list joins addresses for a table.
func list(addrs []netip.Addr) string {
	if len(addrs) == 0 {
		return "none"
	}
	texts := make([]string, len(addrs))
	for i, a := range addrs {
		texts[i] = a.String()
	}
	return strings.Join(texts, ",")
}
