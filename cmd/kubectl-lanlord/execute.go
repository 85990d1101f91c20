package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/streaming/pkg/httpstream"
)

// execute runs a command in a container over a WebSocket, or over SPDY if the API server or a proxy does not support
// WebSockets.
func execute(ctx context.Context, cfg *rest.Config, client kubernetes.Interface, t target) ([]byte, error) {
	request := client.CoreV1().RESTClient().Post().Namespace(t.namespace).Resource("pods").Name(t.pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Container: t.container, Command: t.command, Stdout: true, Stderr: true}, scheme.ParameterCodec)
	websocket, err := remotecommand.NewWebSocketExecutor(cfg, "GET", request.URL().String())
	if err != nil {
		return nil, err
	}
	spdy, err := remotecommand.NewSPDYExecutor(cfg, "POST", request.URL())
	if err != nil {
		return nil, err
	}
	either, err := remotecommand.NewFallbackExecutor(websocket, spdy, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
	if err != nil {
		return nil, err
	}
	var stdout, stderr bytes.Buffer
	err = either.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &stdout, Stderr: &stderr})
	if said := strings.TrimSpace(stderr.String()); err != nil && said != "" {
		err = fmt.Errorf("%w: %s", err, said)
	}
	if err != nil && ctx.Err() != nil {
		err = errors.Join(ctx.Err(), err)
	}
	return stdout.Bytes(), refusal(err, t)
}

// refusal returns err, or a Forbidden error if the text of err reports a missing right. On the connection of a stream,
// the client returns the refusal of the API server as text only.
func refusal(err error, t target) error {
	if err == nil || apierrors.IsForbidden(err) {
		return err
	}
	if text := err.Error(); !strings.Contains(text, "is forbidden: User ") || !strings.Contains(text, `resource "pods/exec"`) {
		return err
	}
	return apierrors.NewForbidden(schema.GroupResource{Resource: "pods/exec"}, t.pod, err)
}
