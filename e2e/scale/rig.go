package scale

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"

	"github.com/lanlord/lanlord/e2e/controlplane"
	"github.com/lanlord/lanlord/e2e/scrape"
	"github.com/lanlord/lanlord/e2e/wire"
)

const (
	systemNamespace = "lanlord-system"
	appNamespace    = "default"

	// writers is how many requests are made at once: as many as the controller makes.
	writers = 8
	// patience is how long anything may take that does not take longer the more Services there are, also on a busy machine.
	patience = 5 * time.Minute
	// stopLimit is how long the controller may take to end after SIGTERM: the grace period of its Pod.
	stopLimit = 10 * time.Second

	controllerListen = "127.0.0.1:7572"
)

// Options say what a Rig is made of.
type Options struct {
	// Controller and Speaker are the paths of the programs, Binaries the directory of those of the control plane.
	Controller, Speaker, Binaries string
	// Manifest is the path of Lanlord's manifest.
	Manifest string
	// Speakers is how many nodes have one, 2 to 200; Nodes is how many others there are.
	Speakers, Nodes int
	// Layer2 is what the configuration has below layer2 besides ping.
	Layer2 string
	// Dir is an existing directory for logs and data.
	Dir string
	// Flags are further flags of the controller and the speakers.
	Flags []string
	// Profiles is an existing folder for heap profiles, which needs the flag --pprof; empty for none.
	Profiles string
	// Unstarted leaves the speakers to the turns of the sides; see [Beside].
	Unstarted bool
}

// Rig is a cluster without kubelets. Its methods are called by one goroutine.
type Rig struct {
	options Options
	server  *controlplane.Server
	lab     *wire.Lab
	http    *http.Client
	// bare is a client with the controller's rights, which priority and fairness treats like the controller.
	bare kubernetes.Interface

	// side has the programs that run.
	side Side
	// guest is MetalLB's part of the cluster, nil until MetalLB has its first turn.
	guest      *guest
	controller *exec.Cmd
	ended      chan struct{}
	starts     int
	// services is how many there are of ours.
	services int
}

// apiServer is the control plane as a laboratory sees it.
type apiServer struct {
	*controlplane.Server
	ctx context.Context
}

// Start implements [wire.Server].
func (s apiServer) Start(h *wire.Host) error {
	return s.Server.Start(s.ctx, controlplane.Place{Addr: h.Addr, Start: h.Start, Dial: h.Dial})
}

// Kubeconfig implements [wire.Server].
func (s apiServer) Kubeconfig() string { return s.Server.Kubeconfig(controlplane.Speaker) }

// New makes a Rig: control plane, Nodes, and speakers. The controller is not started.
func New(ctx context.Context, o Options) (*Rig, error) {
	r := &Rig{options: o, side: Side{Controller: o.Controller, Speaker: o.Speaker}, server: controlplane.New(controlplane.Options{Binaries: o.Binaries, Dir: o.Dir, Manifest: o.Manifest})}
	var err error
	r.lab, err = wire.New(wire.Options{
		Speaker: o.Speaker, Nodes: o.Speakers, Layer2: o.Layer2, Logs: o.Dir, Server: apiServer{r.server, ctx}, Flags: o.Flags,
		Unstarted: o.Unstarted, Prepare: r.prepare,
	})
	if err != nil {
		return nil, err
	}
	r.http = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DialContext: r.lab.Host().Dial}}
	if r.bare, err = r.server.As(ctx, controlplane.Controller); err == nil {
		err = r.each(ctx, o.Nodes, func(ctx context.Context, i int) error { return r.server.Create(ctx, wire.Bystander(i)) })
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// each calls f for each number below n, some at once.
func (r *Rig) each(ctx context.Context, n int, f func(context.Context, int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(writers)
	for i := range n {
		group.Go(func() error { return f(ctx, i) })
	}
	return group.Wait()
}

// StartController starts the controller.
func (r *Rig) StartController() error {
	r.starts++
	log, err := os.Create(filepath.Join(r.options.Dir, fmt.Sprintf("controller.%d.log", r.starts)))
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	cmd := r.controllerCommand()
	cmd.Stdout, cmd.Stderr = log, log
	if err := r.lab.Host().Start(cmd); err != nil {
		return fmt.Errorf("start the controller: %w", err)
	}
	ended := make(chan struct{})
	r.controller, r.ended = cmd, ended
	go func() {
		_ = cmd.Wait() // whether it should have ended is asked by StopController
		close(ended)
	}()
	return nil
}

// controllerCommand returns the command that starts the controller of the side.
func (r *Rig) controllerCommand() *exec.Cmd {
	if r.side.MetalLB != "" {
		return r.guest.controller()
	}
	args := []string{
		"--kubeconfig=" + r.server.Kubeconfig(controlplane.Controller), "--namespace=" + systemNamespace, "--listen=" + controllerListen,
	}
	return exec.Command(r.side.Controller, append(args, r.options.Flags...)...)
}

// StopController tells the controller to stop, and waits until it has.
func (r *Rig) StopController() error {
	if err := r.controller.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("the controller has ended: %w", err)
	}
	select {
	case <-r.ended:
	case <-time.After(stopLimit):
		return fmt.Errorf("the controller still runs %v after SIGTERM", stopLimit)
	}
	if !r.controller.ProcessState.Success() {
		return fmt.Errorf("the controller ended with %s", r.controller.ProcessState)
	}
	return nil
}

// metric returns the value of one of the controller's metrics, with its labels as they are written.
func (r *Rig) metric(ctx context.Context, name string) (float64, error) {
	text, err := r.get(ctx, "/metrics")
	if err != nil {
		return 0, err
	}
	return scrape.Value(text, name)
}

// get returns what the controller answers under a path of its HTTP server.
func (r *Rig) get(ctx context.Context, path string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+controllerListen+path, nil)
	if err != nil {
		return "", err
	}
	response, err := r.http.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s of the controller: %s", path, response.Status)
	}
	return string(text), err
}

// until calls done again and again until it returns true.
func until(ctx context.Context, what string, poll time.Duration, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		ok, err := done()
		if ok && err == nil {
			return nil
		}
		if wire.Pause(ctx, poll) != nil {
			return fmt.Errorf("wait for %s: %w", what, errors.Join(context.Cause(ctx), err))
		}
	}
}

// Close ends all processes and removes everything but the logs.
func (r *Rig) Close() {
	if r.controller != nil {
		_ = r.controller.Process.Kill() // it may have ended
		<-r.ended
	}
	r.lab.Close()
}
