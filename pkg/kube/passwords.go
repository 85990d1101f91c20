package kube

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

const (
	// PasswordSecret is the name of the Secret for BGP passwords that the manifest lets the speakers read. A Secret
	// with another name needs a right of its own.
	PasswordSecret = "lanlord-bgp"
	// maxPassword is the greatest length of a TCP MD5 password in bytes (TCP_MD5SIG_MAXKEYLEN, tcp(7)).
	maxPassword = 80
)

// passwordRow maps the entries of a Secret to passwords.
type passwordRow map[string]string

// passwordWatch watches one Secret with passwords.
type passwordWatch struct {
	stop  context.CancelFunc
	table *table[passwordRow]
	// values holds the last value of every entry that the Secret has ever had. exists is false when there is no Secret.
	values passwordRow
	exists bool
}

// Password returns the password in an entry of a Secret, or an error that explains to people why there is none. A
// password stays when the Secret or its entry is deleted. Options.Wake is called when the answer may have changed.
// Password drops one newline at the end, because text editors and shells add one. The error never contains a password.
func (s *Store) Password(of config.SecretKey) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := s.secretNamespace() + "/" + of.Secret
	if of.Secret == GossipSecret {
		return "", fmt.Errorf("the Secret %s has the keys of the gossip and cannot be used for passwords", name)
	}
	w := s.passwords[of.Secret]
	switch {
	case w == nil || !w.table.synced && !s.health.isRefused(passwordTitle(of.Secret)):
		return "", fmt.Errorf("the Secret %s has not been read yet", name)
	case !w.table.synced:
		return "",
			fmt.Errorf("the speaker may not read the Secret %s: use the Secret %s, or add the name to the Role %s in the "+
				"namespace %s", name, PasswordSecret, s.secretRole(), s.secretNamespace())
	}
	value, has := w.values[of.Key]
	switch {
	case !has && !w.exists:
		return "", fmt.Errorf("there is no Secret %s", name)
	case !has:
		return "", fmt.Errorf("the Secret %s has no entry %q", name, of.Key)
	case value == "":
		return "", fmt.Errorf("the entry %q of the Secret %s is empty", of.Key, name)
	case len(value) > maxPassword:
		return "", fmt.Errorf("the entry %q of the Secret %s has %d bytes, a password may have %d", of.Key, name,
			len(value), maxPassword)
	}
	return value, nil
}

// keepPasswords watches exactly the Secrets that the configuration in use names, until ctx ends.
func (s *Store) keepPasswords(ctx context.Context) {
	var group sync.WaitGroup
	defer group.Wait()
	for {
		for _, start := range s.choosePasswords(ctx) {
			group.Go(start)
		}
		select {
		case <-ctx.Done():
			return
		case <-s.config.used:
		}
	}
}

// choosePasswords stops the watches of Secrets that the configuration no longer names, and returns functions that run
// the new watches.
func (s *Store) choosePasswords(ctx context.Context) (starts []func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	named := passwordSecrets(s.config.config())
	for name, w := range s.passwords {
		if !slices.Contains(named, name) {
			w.stop()
			delete(s.passwords, name)
		}
	}
	for _, name := range named {
		if s.passwords[name] != nil {
			continue
		}
		watching, stop := context.WithCancel(ctx)
		w := &passwordWatch{stop: stop, values: passwordRow{}}
		w.table = s.passwordTable(name, w)
		s.passwords[name] = w
		starts = append(starts, func() {
			defer stop()
			defer s.health.forget(passwordTitle(name))
			s.keepWatching(watching, watched{
				title: passwordTitle(name), resource: secrets, namespace: s.secretNamespace(), name: name, table: w.table,
			})
		})
	}
	return starts
}

// passwordTable returns the table of one Secret with passwords.
func (s *Store) passwordTable(name string, w *passwordWatch) *table[passwordRow] {
	t := newTable(s, func(key cluster.Key, _ string, old, row *passwordRow) bool {
		if row == nil {
			w.exists = false
			if old != nil {
				s.opt.Log.Warn("a Secret with BGP passwords is gone; the last passwords stay in use", "secret", key)
			}
			return old != nil
		}
		before := maps.Clone(w.values)
		w.exists = true
		maps.Copy(w.values, *row)
		return old == nil || !maps.Equal(before, w.values)
	}, func(object any) (passwordRow, bool) {
		secret := object.(*corev1.Secret)
		return convertPasswords(secret), secret.Name == name
	})
	listed := false
	t.listed = func() (wake bool) {
		wake, listed = !listed, true // the first list wakes even without a Secret
		return wake
	}
	return t
}

// convertPasswords returns the entries of a Secret.
func convertPasswords(o *corev1.Secret) passwordRow {
	row := make(passwordRow, len(o.Data))
	for name, value := range o.Data {
		row[name] = strings.TrimSuffix(strings.TrimSuffix(string(value), "\n"), "\r")
	}
	return row
}

// passwordSecrets returns the names of the Secrets with passwords, sorted.
func passwordSecrets(cfg *config.Config) (names []string) {
	if cfg == nil {
		return nil
	}
	for i := range cfg.Peers {
		if name := cfg.Peers[i].PasswordSecret.Secret; name != "" && name != GossipSecret {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// passwordTitle returns the title of the watch of a Secret with passwords.
func passwordTitle(name string) string { return secrets.Name + "/" + name }
