package kube

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// authority signs certificates for servers on the loopback address.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// newCertificate returns the template of a certificate, and a key for the certificate.
func newCertificate(t *testing.T, name string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		BasicConstraintsValid: true,
	}, key
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	cert, key := newCertificate(t, name)
	cert.IsCA, cert.KeyUsage = true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

// serves returns a certificate for a server.
func (a *authority) serves(t *testing.T) *tls.Certificate {
	t.Helper()
	cert, key := newCertificate(t, "kube-apiserver")
	cert.IPAddresses, cert.ExtKeyUsage = []net.IP{net.IPv4(127, 0, 0, 1)}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	der, err := x509.CreateCertificate(rand.Reader, cert, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// trust writes authorities into a file, atomically like a kubelet.
func trust(t *testing.T, path string, all ...*authority) {
	t.Helper()
	var text []byte
	for _, a := range all {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})...)
	}
	replaceFile(t, path, text)
}

func replaceFile(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// secureServer is an API server with a replaceable certificate and a replaceable token. Every request must carry the
// token.
type secureServer struct {
	*httptest.Server
	cert  atomic.Pointer[tls.Certificate]
	token atomic.Pointer[string]
	// made counts connections.
	made atomic.Int64
}

func newSecureServer(t *testing.T, cert *tls.Certificate, token string) *secureServer {
	t.Helper()
	s := &secureServer{}
	s.cert.Store(cert)
	s.token.Store(&token)
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+*s.token.Load() {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodPost {
			if body, err := io.ReadAll(r.Body); err != nil || len(body) == 0 {
				t.Errorf("%d bytes of an Event, error %v", len(body), err)
			}
			_, _ = io.WriteString(w, `{"kind":"Event","apiVersion":"v1"}`)
			return
		}
		// An empty answer would make the client report an error.
		_, _ = io.WriteString(w, `{"kind":"ServiceList","apiVersion":"v1","items":[]}`)
	}))
	s.EnableHTTP2 = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.made.Add(1)
		}
	}
	// The server uses GetConfigForClient: with GetCertificate, a client without a host name would get httptest's own
	// certificate.
	s.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{Certificates: []tls.Certificate{*s.cert.Load()}, NextProtos: []string{"h2"}}, nil
	}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// TestFollowsFiles replaces the authority of the API server's certificate and the token, in the files and at the
// server. After the change of the files, no request fails: client-go by itself would read the files minutes later.
func TestFollowsFiles(t *testing.T) {
	old, next, stranger := newAuthority(t, "old"), newAuthority(t, "new"), newAuthority(t, "stranger")
	dir := t.TempDir()
	ca, token := filepath.Join(dir, "ca.crt"), filepath.Join(dir, "token")
	trust(t, ca, old)
	replaceFile(t, token, []byte("first"))
	server := newSecureServer(t, old.serves(t), "first")
	config := filepath.Join(dir, "kubeconfig")
	replaceFile(t, config, []byte(`{"apiVersion": "v1", "kind": "Config", "current-context": "c",
		"clusters": [{"name": "c", "cluster": {"server": "`+server.URL+`", "certificate-authority": "`+ca+`"}}],
		"contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
		"users": [{"name": "u", "user": {"tokenFile": "`+token+`"}}]}`))
	client, err := ConnectMeasured(config, "lanlord-test", prometheus.NewPedanticRegistry())
	if err != nil {
		t.Fatal(err)
	}
	list := func() error {
		_, err := client.Do(t.Context(), Request{Verb: VerbList, Resource: services})
		return err
	}
	works := func(when string) {
		t.Helper()
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				if err := list(); err != nil {
					t.Errorf("%s: %v", when, err)
				}
			})
			all.Go(func() {
				// The client may have to send the body twice.
				if _, err := client.Do(t.Context(), Request{Verb: VerbCreate, Resource: events, Namespace: "n", Object: &corev1.Event{
					ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "x"},
				}}); err != nil {
					t.Errorf("%s: %v", when, err)
				}
			})
		}
		all.Wait()
	}
	distrusted := func(when string) {
		t.Helper()
		var err error
		// The first errors may come from connections that have just been closed.
		for range 10 {
			if err = list(); err == nil || errors.As(err, new(*tls.CertificateVerificationError)) {
				break
			}
		}
		if !errors.As(err, new(*tls.CertificateVerificationError)) {
			t.Errorf("%s: %v, want a certificate that is not trusted", when, err)
		}
	}
	works("at first")

	second, before := "second", server.made.Load()
	server.token.Store(&second)
	unauthorized := func(when string) {
		t.Helper()
		if err := list(); !apierrors.IsUnauthorized(err) {
			t.Errorf("%s: %v, want 401", when, err)
		}
	}
	unauthorized("a new token that is not in the file")
	unauthorized("the same again")
	if n := server.made.Load(); n != before {
		t.Errorf("%d connections more while the files were the same", n-before)
	}
	replaceFile(t, token, []byte(second))
	works("with a new token")

	server.cert.Store(next.serves(t))
	server.CloseClientConnections()
	distrusted("a new authority that is not in the file")
	distrusted("the same again")
	trust(t, ca, next)
	works("with a new authority")

	server.cert.Store(old.serves(t))
	server.CloseClientConnections()
	distrusted("the authority before, which is no more in the file")
	trust(t, ca, old, next)
	works("with two authorities")

	server.cert.Store(stranger.serves(t))
	server.CloseClientConnections()
	distrusted("a stranger")
	if err := os.Remove(ca); err != nil {
		t.Fatal(err)
	}
	distrusted("no file")
	if err := list(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v, want that it is missing", err)
	}
	trust(t, ca, stranger)
	works("with the file")
}
