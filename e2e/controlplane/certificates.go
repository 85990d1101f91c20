package controlplane

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// validity is longer than any run.
const validity = 7 * 24 * time.Hour

// authority signs certificates.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	// pem is the certificate as text.
	pem []byte
}

func newAuthority() (*authority, error) {
	template := template("lanlord-e2e")
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &authority{key: key, cert: cert, pem: block("CERTIFICATE", der)}, err
}

func template(name string, groups ...string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: name, Organization: groups},
		NotBefore:    now.Add(-time.Hour), NotAfter: now.Add(validity),
	}
}

// server returns a certificate for an address, and its key.
func (a *authority) server(addr netip.Addr) (cert, key []byte, err error) {
	t := template("kube-apiserver")
	t.IPAddresses = []net.IP{addr.AsSlice(), ClusterIP.AsSlice()}
	t.DNSNames = []string{"kubernetes.default.svc"}
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	return a.sign(t)
}

// client returns a certificate for a user, and its key.
func (a *authority) client(name string, groups ...string) (cert, key []byte, err error) {
	t := template(name, groups...)
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return a.sign(t)
}

func (a *authority) sign(t *x509.Certificate) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	t.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, private.Public(), a.key)
	if err != nil {
		return nil, nil, err
	}
	key, err = keyPEM(private)
	return block("CERTIFICATE", der), key, err
}

// keyPEM is in the one form that the API server reads its token keys in.
func keyPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	return block("EC PRIVATE KEY", der), err
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// write writes files into the server's directory.
func (s *Server) write(files map[string][]byte) error {
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(s.options.Dir, name), content, 0o600); err != nil {
			return fmt.Errorf("write a certificate or key: %w", err)
		}
	}
	return nil
}

// certify writes what the API server needs to prove who it is, to know its clients, and to sign tokens.
func (s *Server) certify(addr netip.Addr) (err error) {
	if s.authority, err = newAuthority(); err != nil {
		return err
	}
	cert, key, err := s.authority.server(addr)
	if err != nil {
		return err
	}
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	tokens, err := keyPEM(signer)
	if err != nil {
		return err
	}
	return s.write(map[string][]byte{"ca.crt": s.authority.pem, "server.crt": cert, "server.key": key, "tokens.key": tokens})
}
