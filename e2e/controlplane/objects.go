package controlplane

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
)

// The components whose ServiceAccounts are in the manifest.
const (
	Controller = "controller"
	Speaker    = "speaker"
)

// tokenLifetime is in seconds.
const tokenLifetime = 24 * 60 * 60

// Put creates objects of any kind that client-go knows. What of their status they may not bring themselves is not taken.
func (s *Server) Put(objects ...runtime.Object) error {
	if s.Admin == nil {
		return errNoPlace
	}
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	for _, o := range objects {
		if err := s.Create(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// Create creates one object.
func (s *Server) Create(ctx context.Context, o runtime.Object) error {
	kinds, _, err := scheme.Scheme.ObjectKinds(o)
	if err != nil {
		return err
	}
	named, err := meta.Accessor(o)
	if err != nil {
		return err
	}
	plural, _ := meta.UnsafeGuessKindToResource(kinds[0])
	path := "/apis/" + kinds[0].GroupVersion().String()
	if kinds[0].Group == "" {
		path = "/api/" + kinds[0].Version
	}
	err = s.Admin.CoreV1().RESTClient().Post().AbsPath(path).NamespaceIfScoped(named.GetNamespace(), named.GetNamespace() != "").Resource(plural.Resource).
		Body(o).Do(ctx).Error()
	if err != nil {
		return fmt.Errorf("create %s %s: %w", kinds[0].Kind, named.GetName(), err)
	}
	return nil
}

// deploy applies the manifest without its workloads, and makes kubeconfigs for its ServiceAccounts.
func (s *Server) deploy(ctx context.Context) error {
	file, err := os.Open(s.options.Manifest)
	if err != nil {
		return err
	}
	defer file.Close()
	documents := yaml.NewYAMLReader(bufio.NewReader(file))
	for {
		text, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		o, _, err := scheme.Codecs.UniversalDeserializer().Decode(text, nil, nil)
		if err != nil {
			return err
		}
		switch o.(type) {
		case *appsv1.Deployment, *appsv1.DaemonSet:
			continue
		}
		if err := s.Create(ctx, o); err != nil {
			return err
		}
	}
	for _, component := range []string{Controller, Speaker} {
		token, err := s.Token(ctx, systemNamespace, component)
		if err == nil {
			err = s.writeKubeconfig(component, fmt.Sprintf("{token: %q}", token))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// systemNamespace is the manifest's.
const systemNamespace = "lanlord-system"

// Token returns a token for a ServiceAccount, which is valid for a day.
func (s *Server) Token(ctx context.Context, namespace, account string) (string, error) {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(tokenLifetime))}}
	answer, err := s.Admin.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account, request, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("make a token for the ServiceAccount %s: %w", account, err)
	}
	return answer.Status.Token, nil
}

// As returns a client with the rights of a component.
func (s *Server) As(ctx context.Context, component string) (kubernetes.Interface, error) {
	token, err := s.Token(ctx, systemNamespace, component)
	if err != nil {
		return nil, err
	}
	config := s.config()
	config.BearerToken = token
	return kubernetes.NewForConfig(config)
}

// Kubeconfig is the file by which a component, or "admin", finds the server.
func (s *Server) Kubeconfig(component string) string { return s.file(component + ".kubeconfig") }

// Access returns the server's URL and the certificate of its authority in PEM, for a kubeconfig that a caller writes.
func (s *Server) Access() (url string, authority []byte) { return s.url(), s.authority.PEM }

func (s *Server) writeKubeconfig(user, credentials string) error {
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: e2e, cluster: {server: %q, certificate-authority: %q}}]
users: [{name: e2e, user: %s}]
contexts: [{name: e2e, context: {cluster: e2e, user: e2e}}]
current-context: e2e
`, s.url(), s.file("ca.crt"), credentials)
	return os.WriteFile(s.Kubeconfig(user), []byte(text), 0o600)
}
