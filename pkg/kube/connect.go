package kube

import (
	"errors"
	"fmt"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Connect returns a client for an API server: the server in the file kubeconfig; if kubeconfig is empty, the server of
// this pod; and outside of a pod, the server in the files of $KUBECONFIG. Connect makes no request.
func Connect(kubeconfig, userAgent string) (Client, error) {
	return ConnectMeasured(kubeconfig, userAgent, nil)
}

// ConnectMeasured is like [Connect], and registers metrics with r that count and time the requests of the client. r may
// be nil.
func ConnectMeasured(kubeconfig, userAgent string, r prometheus.Registerer) (Client, error) {
	cfg, err := restConfig(kubeconfig)
	if err != nil {
		return nil, err
	}
	cfg.UserAgent = userAgent
	// The API server's priority and fairness sets the limits. The client's own limit of five requests per second would
	// make a large cluster wait for minutes.
	cfg.QPS = -1
	cfg.ContentType = "application/vnd.kubernetes.protobuf"
	cfg.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	if r != nil {
		cfg.Wrap(newRequestMetrics(r).wrap)
	}
	client, err := newRESTClient(cfg)
	if err != nil {
		return nil, fmt.Errorf("make a client for %s: %w", cfg.Host, err)
	}
	return client, nil
}

// ConnectTo returns a client for the API server in cfg. ConnectTo makes no request, and does not change cfg.
func ConnectTo(cfg *rest.Config) (Client, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.ContentType = "application/vnd.kubernetes.protobuf"
	cfg.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	client, err := newRESTClient(cfg)
	if err != nil {
		return nil, fmt.Errorf("make a client for %s: %w", cfg.Host, err)
	}
	return client, nil
}

func restConfig(kubeconfig string) (*rest.Config, error) {
	if kubeconfig != "" {
		return fileConfig("--kubeconfig "+kubeconfig, &clientcmd.ClientConfigLoadingRules{ExplicitPath: kubeconfig})
	}
	cfg, err := rest.InClusterConfig()
	switch {
	case err == nil:
		return cfg, nil
	case !errors.Is(err, rest.ErrNotInCluster):
		return nil, fmt.Errorf("use the pod's service account: %w", err)
	}
	if env := os.Getenv(clientcmd.RecommendedConfigPathEnvVar); env != "" {
		// The environment variable may list several files.
		rules := clientcmd.NewDefaultClientConfigLoadingRules()
		rules.MigrationRules = nil
		return fileConfig("$"+clientcmd.RecommendedConfigPathEnvVar+" "+env, rules)
	}
	return nil, errors.New("this is no pod, and no kubeconfig is given: name a file with --kubeconfig or in $KUBECONFIG")
}

// fileConfig reads a kubeconfig. source is the origin of the file name, for errors.
func fileConfig(source string, rules *clientcmd.ClientConfigLoadingRules) (*rest.Config, error) {
	raw, err := rules.Load()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	cfg, err := clientcmd.NewDefaultClientConfig(*raw, &clientcmd.ConfigOverrides{}).ClientConfig()
	switch {
	case clientcmd.IsEmptyConfig(err):
		return nil, fmt.Errorf("%s: names no cluster", source)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	return cfg, nil
}
