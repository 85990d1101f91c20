// Package certificate makes the certificates of the API servers in the tests.
package certificate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/netip"
	"time"
)

// validity is longer than any run.
const validity = 365 * 24 * time.Hour

// Authority signs certificates.
type Authority struct {
	// PEM is the certificate of the authority, for its clients.
	PEM  []byte
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

// NewAuthority makes an authority. No two authorities have the same name.
func NewAuthority() (*Authority, error) {
	t := template("lanlord-e2e " + rand.Text())
	t.IsCA, t.BasicConstraintsValid = true, true
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &Authority{PEM: block("CERTIFICATE", der), key: key, cert: cert}, err
}

func template(name string, groups ...string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: name, Organization: groups},
		NotBefore:    now.Add(-time.Hour), NotAfter: now.Add(validity),
	}
}

// Server returns a certificate for an API server with these addresses, and the key.
func (a *Authority) Server(addrs ...netip.Addr) (cert, key []byte, err error) {
	t := template("kube-apiserver")
	for _, addr := range addrs {
		t.IPAddresses = append(t.IPAddresses, net.IP(addr.AsSlice()))
	}
	t.DNSNames = []string{"kubernetes.default.svc"}
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	return a.sign(t)
}

// Client returns a certificate for a user in these groups, and the key.
func (a *Authority) Client(name string, groups ...string) (cert, key []byte, err error) {
	t := template(name, groups...)
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return a.sign(t)
}

func (a *Authority) sign(t *x509.Certificate) (cert, key []byte, err error) {
	private, key, err := NewKey()
	if err != nil {
		return nil, nil, err
	}
	t.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, private.Public(), a.key)
	return block("CERTIFICATE", der), key, err
}

// NewKey makes a key, and returns its text in the only form in which kube-apiserver reads the keys of tokens.
func NewKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	return key, block("EC PRIVATE KEY", der), err
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
