package controlplane

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/lanlord/lanlord/e2e/certificate"
)

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
	if s.authority, err = certificate.NewAuthority(); err != nil {
		return err
	}
	cert, key, err := s.authority.Server(addr, ClusterIP)
	if err != nil {
		return err
	}
	_, tokens, err := certificate.NewKey()
	if err != nil {
		return err
	}
	return s.write(map[string][]byte{"ca.crt": s.authority.PEM, "server.crt": cert, "server.key": key, "tokens.key": tokens})
}
