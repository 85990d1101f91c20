package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/lanlord/lanlord/pkg/kube"
)

// access holds the functions that reach a cluster.
type access struct {
	client kubernetes.Interface
	// execute runs a command in a Pod's container and returns the standard output.
	execute func(ctx context.Context, t target) ([]byte, error)
	// logs returns the end of the log of a container.
	logs func(ctx context.Context, l logs) ([]byte, error)
	// forward forwards a port of this computer to a Pod.
	forward func(ctx context.Context, f forwarding) error
	// raw gets a path of the API server for which the client has no type.
	raw func(ctx context.Context, path string) ([]byte, error)
	// watcher returns a client that can watch, for a kube.Store.
	watcher func() (kube.Client, error)
}

// target names a container, and a command to run there.
type target struct {
	namespace, pod, container string
	command                   []string
}

// connector connects to the cluster of a kubeconfig.
type connector func(clientcmd.ClientConfig) (access, error)

func connect(config clientcmd.ClientConfig) (access, error) {
	cfg, err := config.ClientConfig()
	if err != nil {
		return access{}, describe(err)
	}
	cfg.UserAgent = "kubectl-lanlord"
	cfg.QPS = -1 // the API server's own limits are enough
	typed := rest.CopyConfig(cfg)
	typed.ContentType = "application/vnd.kubernetes.protobuf"
	typed.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	// Typed and raw requests share one client and its connections.
	client, err := kubernetes.NewForConfig(typed)
	if err != nil {
		return access{}, fmt.Errorf("make a client for %s: %w", cfg.Host, err)
	}
	return access{
		client:  client,
		execute: func(ctx context.Context, t target) ([]byte, error) { return execute(ctx, cfg, client, t) },
		logs:    func(ctx context.Context, l logs) ([]byte, error) { return readLog(ctx, access{client: client}, l) },
		forward: func(ctx context.Context, f forwarding) error { return forward(ctx, cfg, client, f) },
		raw: func(ctx context.Context, path string) ([]byte, error) {
			body, err := client.Discovery().RESTClient().Get().AbsPath(path).SetHeader("Accept", "application/json").DoRaw(ctx)
			return body, explained(body, err)
		},
		watcher: func() (kube.Client, error) { return kube.ConnectTo(cfg) },
	}, nil
}

// explained returns err, or the error in the body of the API server's answer. The client of a raw request does not read
// that body.
func explained(body []byte, err error) error {
	var status metav1.Status
	if err == nil || json.Unmarshal(body, &status) != nil || status.Kind != "Status" || status.Message == "" {
		return err
	}
	return &apierrors.StatusError{ErrStatus: status}
}

// describe adds advice to an error of the API server or of the kubeconfig.
func describe(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		if n, ok := errors.AsType[net.Error](err); ok && n.Timeout() {
			return fmt.Errorf("the API server at %s does not answer; is it the right context (--context), and is the network there?", host(u.URL))
		}
		return fmt.Errorf("the API server at %s cannot be reached: %w; is it the right context (--context)?", host(u.URL), u.Err)
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer in time (%w); --timeout allows more", err)
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("the API server does not know who asks (%w); log in anew, or use another --context", err)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%w; ask for that right: the roles called lanlord-viewer have all that is needed", err)
	case clientcmd.IsEmptyConfig(err):
		return errors.New("no cluster is configured; name a file with --kubeconfig or $KUBECONFIG")
	}
	return err
}

func host(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return u.Host
}
