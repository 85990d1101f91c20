package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/daemon"
	"github.com/lanlord/lanlord/pkg/kube"
	"github.com/lanlord/lanlord/pkg/rehearsal"
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
		err = rehearsal.WriteOwnClass(cfg, flags.LoadBalancerClass, stdout)
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
	fmt.Fprintln(stdout)
	if err := p.WriteText(stdout); err != nil {
		return err
	}
	if p.Withdraws() {
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

// preview reads the cluster and returns the changes that cfg would make, and other facts that a user should know before
// the change.
func preview(ctx context.Context, cfg *config.Config, w wanted, flags daemon.Flags, gateways bool) (rehearsal.Plan, error) {
	client, err := kube.Connect(flags.Kubeconfig, name)
	if err != nil {
		return rehearsal.Plan{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	notes, err := locate(ctx, client, w, &flags)
	if err != nil {
		return rehearsal.Plan{}, err
	}
	options := storeOptions(flags, client)
	options.Gateways = gateways
	options.Log = slog.New(slog.DiscardHandler)
	p, err := rehearsal.New(ctx, cfg, options)
	p.Notes = append(notes, p.Notes...)
	return p, err
}
