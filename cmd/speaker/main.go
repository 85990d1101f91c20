// Command speaker answers ARP and NDP for the addresses of Services on one node, by agreement with the speakers of the
// other nodes.
package main

import (
	"context"
	"io"
	"os"

	"github.com/lanlord/lanlord/pkg/daemon"
	"github.com/lanlord/lanlord/pkg/kube"
	"github.com/lanlord/lanlord/pkg/page"
	"github.com/lanlord/lanlord/pkg/schedslice"
)

const (
	name  = "lanlord-speaker"
	about = "Answers ARP and NDP for the addresses of Services on this node, by agreement with the speakers of the " +
		"other nodes. As \"speaker probe live\" or \"speaker probe ready\" it asks the speaker in the same Pod, which " +
		"the environment variable POD_NAME names: it prints the answer and exits with status 0 for yes, 1 for no. As " +
		"\"speaker status\" it prints the state of that speaker as JSON, and as \"speaker path ADDRESS\" the result of " +
		"that speaker's probe of the path from this node to the address of a Service."
)

// podEnv names the environment variable with the name of the speaker's Pod. The manifest sets the variable. Speaker and
// probe both read podEnv instead of --pod-name, because the probe does not see that flag.
const podEnv = "POD_NAME"

func main() { os.Exit(daemon.Main(name, run)) }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	switch {
	case len(args) > 0 && args[0] == "probe":
		return daemon.ProbeCommand(ctx, os.Getenv(podEnv), args[1:], stdout)
	case len(args) > 0 && args[0] == "status":
		return daemon.StatusCommand(ctx, os.Getenv(podEnv), args[1:], stdout)
	case len(args) > 0 && args[0] == "path":
		return daemon.PathCommand(ctx, os.Getenv(podEnv), args[1:], stdout)
	}
	f, err := parseFlags(args, stdout)
	if err != nil {
		return err
	}
	log := f.Logger(stderr)
	if err := daemon.BridgeKlog(log); err != nil {
		return err
	}
	if err := schedslice.Ask(); err != nil {
		log.Info("the kernel grants no short time slices: on a busy node other processes run before this speaker",
			"err", err)
	}
	registry := daemon.NewRegistry()
	client, err := kube.ConnectMeasured(f.Kubeconfig, name, registry)
	if err != nil {
		return err
	}
	p := newProgram(f, client, log, registry)
	log.Info("starting", "version", daemon.Version(), "node", f.nodeName)
	p.server = daemon.NewServer(daemon.ServerOptions{
		Listen: f.Listen, Rebindable: true, Installation: f.Namespace, Pod: os.Getenv(podEnv),
		Metrics: registry, PProf: f.PProf, Log: log, Busy: p.asked,
		Checks: []daemon.Check{{Name: "speaker", Ready: p.succession.Ready}},
		Status: page.Speaker(p.status), StatusListen: f.StatusListen,
		Path: page.Path(p.probePath), Key: kube.NewViewerKey(client, f.Namespace).Get,
	})

	// The speaker leaves before the errgroup stops the parts needed for leaving.
	leave := ctx
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	return daemon.RunTasks(ctx,
		daemon.Task{Name: "watch the cluster", Run: p.store.Run},
		daemon.Task{Name: "give memory back", Run: daemon.GiveBack(p.asked)},
		daemon.Task{Name: "rest on one processor", Run: p.afterStart(p.processors.Run)},
		daemon.Task{Name: "answer", Run: p.afterStart(p.announcer.Run)},
		daemon.Task{Name: "publish the networks", Run: p.afterStart(p.publisher.Run)},
		daemon.Task{Name: "wait for kube-proxy", Run: p.afterStart(p.proxy.Run)},
		daemon.Task{Name: "speak to routers", Run: p.routers.run},
		daemon.Task{Name: "run the speaker", Run: func(ctx context.Context) error {
			defer stop()
			defer p.leaveAlone(ctx)
			return p.succession.Run(ctx, leave)
		}},
		daemon.Task{Name: "serve HTTP", Run: p.server.Run},
	)
}
