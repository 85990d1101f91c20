package main

import (
	"context"
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

// syncTimeout is how long the cluster may take to be read.
const syncTimeout = 30 * time.Second

// check prints the configuration in file as it is understood, or returns all that is wrong with it. If asked for, it also
// prints what the configuration would change in the cluster, where it changes nothing itself.
func check(ctx context.Context, file string, againstCluster bool, flags daemon.Flags, gateways bool, stdout io.Writer) error {
	data, err := readFile(file)
	if err != nil {
		return fmt.Errorf("--check-config: %w", err)
	}
	if err := config.Check(data, stdout); err != nil {
		return err
	}
	cfg, err := config.Read(data)
	if err == nil {
		err = cfg.CheckPools()
	}
	if err != nil || !againstCluster {
		return err
	}
	changes, err := preview(ctx, cfg, flags, gateways)
	if err != nil {
		return fmt.Errorf("--against-cluster: %w", err)
	}
	if err := printChanges(changes, stdout); err != nil {
		return err
	}
	if slices.ContainsFunc(changes, withdraws) {
		return daemon.ErrFailed // the table says what is wrong
	}
	return nil
}

// secretFolders are the folders whose files readFile refuses: the tokens and Secrets of a container, and the kernel's
// view of other processes. A person who may only run commands in the container must not be able to print these files.
var secretFolders = []string{"/run/secrets", "/var/run/secrets", "/proc", "/sys"}

// readFile returns the content of a file, or of standard input if the file is called -. readFile refuses files in
// secretFolders, also behind a symbolic link.
func readFile(file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(os.Stdin)
	}
	return readFileOutside(file, secretFolders)
}

// readFileOutside returns the content of a file that is in none of the folders, also behind a symbolic link.
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

// preview reads the cluster and returns what cfg would change in it.
func preview(ctx context.Context, cfg *config.Config, flags daemon.Flags, gateways bool) ([]controller.Change, error) {
	client, err := kube.Connect(flags.Kubeconfig, name)
	if err != nil {
		return nil, err
	}
	options := storeOptions(flags, client)
	options.Gateways = gateways
	options.Log = slog.New(slog.DiscardHandler)
	store := kube.New(options)
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	ended := make(chan error, 1)
	go func() { ended <- store.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	if err := store.WaitSynced(ctx); err != nil {
		return nil, err
	}
	return controller.Preview(store.Snapshot(), cfg), nil
}

// withdraws reports whether a Service would lose an address.
func withdraws(c controller.Change) bool {
	return slices.ContainsFunc(c.Before, func(a netip.Addr) bool { return !slices.Contains(c.After, a) })
}

func printChanges(changes []controller.Change, out io.Writer) error {
	if len(changes) == 0 {
		_, err := fmt.Fprintln(out, "\nNo Service of the cluster would get another address.")
		return err
	}
	fmt.Fprintf(out, "\n%d Services of the cluster would get other addresses:\n", len(changes))
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SERVICE\tNOW\tTHEN\tREASON")
	for _, c := range changes {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s: %s\n", c.Service, list(c.Before), list(c.After), c.Reason, c.Message)
	}
	return table.Flush()
}

// list is addresses in a table.
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
