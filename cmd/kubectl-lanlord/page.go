package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanlord/lanlord/pkg/daemon"
	"github.com/lanlord/lanlord/pkg/inspect"
)

const (
	// pagePort is the default port of --status-listen of the controller.
	pagePort = 7573
	// pageRetry is the time from the loss of the connection to the Pod to the next attempt.
	pageRetry = time.Second
	// headerLimit is the time in which a client must send the header of its request to the page.
	headerLimit = 10 * time.Second
)

func (p *plugin) page() *cobra.Command {
	var (
		port      int
		noBrowser bool
		local     bool
	)
	command := &cobra.Command{Use: "page", Short: "Open the page of the cluster in the browser, until it is interrupted", Args: args("", 0, 0)}
	command.Long = command.Short + ".\n\nThe command forwards a port of this computer to the controller, which serves the page, as kubectl " +
		"port-forward does. Without the right to do so, or with --local, the command makes the same page itself, from what the other " +
		"commands may read. Only this computer reaches the page. --timeout limits each question to the cluster."
	command.Example = `  kubectl lanlord page
  kubectl lanlord page --no-browser --port 8080
  kubectl lanlord page --local              # with the Events, and without a port-forward`
	flags := command.Flags()
	flags.IntVar(&port, "port", 0, "Port of this computer, from 1 to 65535; by default a free one")
	flags.BoolVar(&noBrowser, "no-browser", false, "Print the address of the page, and open no browser")
	flags.BoolVar(&local, "local", false, "Make the page in this command, and forward no port")
	command.RunE = func(cmd *cobra.Command, _ []string) error {
		if port < 0 || port > 65535 {
			return fmt.Errorf("--port %d is no port: must be from 1 to 65535", port)
		}
		a, err := p.connect(p.config())
		if err != nil {
			return err
		}
		s := &pageServer{plugin: p, access: a, port: port, browser: !noBrowser}
		if local {
			return s.serve(cmd.Context())
		}
		return s.open(cmd.Context())
	}
	return command
}

// pageServer shows the page on a port of this computer.
type pageServer struct {
	*plugin
	access  access
	port    int
	browser bool
	// told is true once the user knows the address of the page.
	told bool
}

// open forwards a port to the controller. Without the right, or without a page in the controller, open serves the page
// itself.
func (s *pageServer) open(ctx context.Context) error {
	for {
		pod, port, err := s.findPage(ctx)
		if err == nil {
			err = s.access.forward(ctx, forwarding{
				namespace: pod.Namespace, pod: pod.Name, local: s.port, remote: port, ready: s.announce, errors: s.stderr,
			})
		}
		gap, instead := errors.AsType[*noForward](err)
		switch {
		case ctx.Err() != nil:
			return nil // the user has ended the command
		case instead:
			fmt.Fprintf(s.stderr, "Note: %s; the command makes the page itself\n", gap.why)
			return s.serve(ctx)
		case apierrors.IsForbidden(err):
			fmt.Fprintf(s.stderr, "Note: the right to create pods/portforward in %s is missing; the command makes the page itself\n", pod.Namespace)
			return s.serve(ctx)
		case errors.Is(err, errLostPod):
			fmt.Fprintln(s.stderr, "Note: the connection to the controller is lost; trying again")
		case err != nil:
			return describe(err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pageRetry):
		}
	}
}

// noForward is the error for an installation without a Pod to forward a port to.
type noForward struct{ why string }

func (e *noForward) Error() string { return e.why }

// errLostPod is the error of access.forward after the connection to the Pod was lost.
var errLostPod = errors.New("lost the connection to the Pod")

// findPage returns the Pod of the leading controller, and the port of its page.
func (s *pageServer) findPage(ctx context.Context) (*corev1.Pod, int, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	where, err := s.findOnly(ctx, s.access)
	if err != nil {
		return nil, 0, err
	}
	if where.forbidden != nil {
		return nil, 0, &noForward{"the right to list pods in " + where.namespace + " is missing"}
	}
	lease, err := s.access.client.CoordinationV1().Leases(where.namespace).Get(ctx, leaseName, metav1.GetOptions{})
	holder := ""
	if err == nil && lease.Spec.HolderIdentity != nil {
		holder = *lease.Spec.HolderIdentity
	}
	var found *corev1.Pod
	for i := range where.pods {
		pod := &where.pods[i]
		if _, runs := running(pod); pod.Labels[componentLabel] != controllerComponent || !runs {
			continue
		}
		if found == nil || strings.HasPrefix(holder, pod.Name+"_") {
			found = pod
		}
	}
	if found == nil {
		return nil, 0, &noForward{"no controller runs in " + where.namespace}
	}
	listen := flagOf(&found.Spec.Containers[0], "status-listen", fmt.Sprintf("127.0.0.1:%d", pagePort))
	_, text, err := net.SplitHostPort(listen)
	if err != nil {
		return nil, 0, &noForward{"the controller serves no page (--status-listen=" + listen + ")"}
	}
	port, err := strconv.Atoi(text)
	if err != nil || port <= 0 {
		return nil, 0, &noForward{"the controller serves no page on a known port (--status-listen=" + listen + ")"}
	}
	return found, port, nil
}

// announce tells the user the address of the page, and opens the browser once.
func (s *pageServer) announce(port int) {
	url := fmt.Sprintf("http://localhost:%d/", port)
	if s.told {
		return
	}
	s.told, s.port = true, port // a new connection uses the same port
	fmt.Fprintf(s.stdout, "The page of the cluster is at %s until Ctrl-C.\n", url)
	if !s.browser {
		return
	}
	if err := s.browse(url); err != nil {
		fmt.Fprintf(s.stderr, "Note: no browser could be opened: %v\n", err)
	}
}

// serve serves the page from what the user may read, until ctx ends.
func (s *pageServer) serve(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)))
	if err != nil {
		return fmt.Errorf("open the port of the page: %w", err)
	}
	server := &http.Server{
		Handler: daemon.LoopbackOnly((&pageSight{server: s}).handler()), ReadHeaderTimeout: headerLimit,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	end := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer end()
	if at, is := listener.Addr().(*net.TCPAddr); is {
		s.announce(at.Port)
	}
	if err := server.Serve(listener); ctx.Err() == nil {
		return fmt.Errorf("serve the page: %w", err)
	}
	return nil
}

// lookQuietly gathers the cluster without progress on the terminal.
func (s *pageServer) lookQuietly(ctx context.Context) (*inspect.Cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	where, err := s.findOnly(ctx, s.access)
	if err != nil {
		return nil, err
	}
	return s.gather(ctx, s.access, where, ordinary, newProgress(nil))
}
