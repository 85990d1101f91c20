package soak

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/netip"
	"os"
	"time"
)

// reread is how long an authority has been in the file before a certificate of it is served: client-go looks into the file every
// five minutes. Without TLS it shows no token.
const reread = 6 * time.Minute

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	text []byte
	// since is when it came into the file.
	since time.Time
}

func template(name string, now time.Time) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
	}
}

func newAuthority(now time.Time) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := template("soak "+now.String(), now)
	t.IsCA, t.KeyUsage = true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), now}, nil
}

// sign returns a new certificate for a server at an address.
func (a *authority) sign(addr netip.Addr, now time.Time) (cert tls.Certificate, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return cert, err
	}
	t := template("kube-apiserver", now)
	t.IPAddresses, t.ExtKeyUsage = []net.IP{addr.AsSlice()}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, key.Public(), a.key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// recertify makes a new certificate, which the server has from its next start on. The file that clients trust always holds the
// authority of the certificate and the next one. When that has been there for long enough it signs, and the one before goes: every
// process knows it by then, and one that had not read the file again could not connect any more.
func (s *server) recertify(now time.Time) (err error) {
	if len(s.authorities) == 2 && now.Sub(s.authorities[1].since) > reread {
		s.authorities = s.authorities[1:]
		s.exchanged++
	}
	for len(s.authorities) < 2 {
		next, err := newAuthority(now)
		if err != nil {
			return err
		}
		s.authorities = append(s.authorities, next)
	}
	if err := replace(s.authorityFile(), append(append([]byte(nil), s.authorities[0].text...), s.authorities[1].text...)); err != nil {
		return err
	}
	s.cert, err = s.authorities[0].sign(s.host.Addr, now)
	return err
}

// replace writes a file anew as a kubelet does that of a ServiceAccount: at once.
func replace(path string, text []byte) error {
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
