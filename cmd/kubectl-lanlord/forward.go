package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
)

// forwarding describes a port of this computer that leads to a port of a Pod.
type forwarding struct {
	namespace, pod string
	// local is the port of this computer, 0 for a free one. remote is the port of the Pod's loopback address.
	local, remote int
	// ready is called with the local port once the port is open.
	ready func(port int)
	// errors gets what goes wrong with single connections.
	errors io.Writer
}

// forward forwards a port until ctx ends or the connection is lost, over a WebSocket, or over SPDY if the API server or
// a proxy does not support WebSockets. The error is a Forbidden error for a missing right, and errLostPod after the loss
// of the connection.
func forward(ctx context.Context, cfg *rest.Config, client kubernetes.Interface, f forwarding) error {
	url := client.CoreV1().RESTClient().Post().Namespace(f.namespace).Resource("pods").Name(f.pod).SubResource("portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(cfg)
	if err != nil {
		return err
	}
	plain := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, url)
	websocket, err := portforward.NewSPDYOverWebsocketDialerForStreaming(url, cfg)
	if err != nil {
		return err
	}
	dialer := portforward.NewFallbackDialerForStreaming(websocket, plain, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ready := make(chan struct{})
	forwarder, err := portforward.NewOnAddressesForStreamingWithContext(ctx, dialer, []string{"127.0.0.1"},
		[]string{fmt.Sprintf("%d:%d", f.local, f.remote)}, ready, io.Discard, f.errors)
	if err != nil {
		return err
	}
	told := make(chan struct{})
	go func() {
		defer close(told)
		select {
		case <-ctx.Done():
		case <-ready:
			if ports, err := forwarder.GetPorts(); err == nil && len(ports) == 1 {
				f.ready(int(ports[0].Local))
			}
		}
	}()
	err = forwarder.ForwardPorts()
	cancel()
	<-told
	switch {
	case errors.Is(err, portforward.ErrLostConnectionToPod):
		return errLostPod
	case err != nil && strings.Contains(err.Error(), "is forbidden: User ") && strings.Contains(err.Error(), `resource "pods/portforward"`):
		return apierrors.NewForbidden(schema.GroupResource{Resource: "pods/portforward"}, f.pod, err)
	}
	return err
}

// browse opens an address in the user's browser.
func browse(url string) error {
	var command *exec.Cmd
	switch {
	case runtime.GOOS == "darwin":
		command = exec.Command("open", url)
	case runtime.GOOS == "windows":
		command = exec.Command("rundll32", "url.dll,FileProtocolHandler", url)
	case os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" && os.Getenv("BROWSER") == "":
		return errors.New("there is no display")
	default:
		command = exec.Command("xdg-open", url)
	}
	if err := command.Start(); err != nil {
		return err
	}
	go func() { _ = command.Wait() }() // a browser that fails says so itself
	return nil
}
