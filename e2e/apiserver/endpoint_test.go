package apiserver_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/lanlord/lanlord/e2e/apiserver"
)

// TestEndpoint reads with the kubeconfig, while the token, the certificate and the process of the server change.
func TestEndpoint(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a folder, with a comma") // as the names of some tests have
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	e := apiserver.NewEndpoint(dir)
	defer e.Close()
	if err := e.Start(func(port uint16) (net.Listener, error) { return net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)) }); err != nil {
		t.Fatal(err)
	}
	if err := e.Put(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}); err != nil {
		t.Fatal(err)
	}
	read := func() error {
		config, err := clientcmd.BuildConfigFromFlags("", e.Kubeconfig())
		if err != nil {
			t.Fatal(err)
		}
		// client-go shares connections between clients with equal settings.
		config.Dial = new(net.Dialer).DialContext
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.CoreV1().Nodes().Get(t.Context(), "n", metav1.GetOptions{})
		return err
	}
	works := func(when string) {
		t.Helper()
		if err := read(); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	works("at first")
	config, err := clientcmd.BuildConfigFromFlags("", e.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	config.BearerTokenFile = "" // the client keeps the token of now
	former, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Rotate(); err != nil {
		t.Fatal(err)
	}
	works("with a new token")
	if _, err := former.CoreV1().Nodes().Get(t.Context(), "n", metav1.GetOptions{}); !apierrors.IsUnauthorized(err) {
		t.Errorf("with the former token: %v", err)
	}
	if err := e.Recertify(); err != nil {
		t.Fatal(err)
	}
	if err := read(); err == nil {
		t.Error("the certificate of the old authority is trusted")
	}
	if err := e.Down(); err != nil {
		t.Fatal(err)
	}
	if err := read(); err == nil {
		t.Error("a server that is down answers")
	}
	if err := e.Up(); err != nil {
		t.Fatal(err)
	}
	works("with a new certificate")
}
