package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"

	"github.com/lanlord/lanlord/pkg/config"
)

// passwordConfig returns a configuration with a peer for each Secret and key.
func passwordConfig(secrets ...string) *corev1.ConfigMap {
	text := "peers:\n"
	for i, s := range secrets {
		text += fmt.Sprintf("- {my-asn: 64512, peer-asn: 64513, peer-address: 10.0.0.%d, password-secret: %s}\n", i+1, s)
	}
	return configMap(text + "address-pools: []\nallocation: {withdraw-all: true}\n")
}

func passwordSecret(name string, entries ...string) *corev1.Secret {
	o := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "lanlord-system", Name: name}, Data: map[string][]byte{}}
	for _, entry := range entries {
		key, value, _ := strings.Cut(entry, "=")
		o.Data[key] = []byte(value)
	}
	return o
}

// withPasswords runs test with a Store that reads passwords.
func withPasswords(t *testing.T, api *fakeAPI, test func(t *testing.T, s *Store, wakes *counter, log *lines)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		wakes, log := &counter{}, &lines{}
		s := New(Options{
			Client: api, Namespace: "lanlord-system", ConfigMap: "config", Passwords: true, Wake: wakes.add,
			Log: slog.New(slog.NewTextHandler(log, nil)),
		})
		var group sync.WaitGroup
		defer group.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		group.Go(func() {
			if err := s.Run(ctx); err != nil {
				t.Errorf("Run: %v", err)
			}
		})
		synctest.Wait()
		test(t, s, wakes, log)
	})
}

// TestPassword changes the Secrets and the configuration. Each step that changes a password, or the reason for a
// missing password, wakes the reader.
func TestPassword(t *testing.T) {
	api := newFakeAPI(passwordConfig("lanlord-bgp/tor-a", "lanlord-bgp/tor-b", "other/key", "lanlord-gossip/key-1"),
		passwordSecret(GossipSecret, "key-1=secret"))
	withPasswords(t, api, func(t *testing.T, s *Store, wakes *counter, log *lines) {
		wakes.take()
		for _, step := range []struct {
			what   string
			do     func()
			secret config.SecretKey
			want   string
			wakes  bool
		}{
			{"no Secret", func() {}, config.SecretKey{Secret: "lanlord-bgp", Key: "tor-a"},
				"there is no Secret lanlord-system/lanlord-bgp", false},
			{"the Secret of the gossip", func() {}, config.SecretKey{Secret: "lanlord-gossip", Key: "key-1"},
				"the Secret lanlord-system/lanlord-gossip has the keys of the gossip and cannot be used for passwords", false},
			{"a Secret that nobody named", func() { api.put(passwordSecret("third", "key=x")) },
				config.SecretKey{Secret: "third", Key: "key"},
				"the Secret lanlord-system/third has not been read yet", false},
			{"the Secret comes", func() {
				api.put(passwordSecret("lanlord-bgp", "tor-a=one\n", "empty=", "long="+strings.Repeat("x", 81)))
			},
				config.SecretKey{Secret: "lanlord-bgp", Key: "tor-a"}, "one", true},
			{"another entry", func() {}, config.SecretKey{Secret: "lanlord-bgp", Key: "tor-b"},
				`the Secret lanlord-system/lanlord-bgp has no entry "tor-b"`, false},
			{"an empty entry", func() {}, config.SecretKey{Secret: "lanlord-bgp", Key: "empty"},
				`the entry "empty" of the Secret lanlord-system/lanlord-bgp is empty`, false},
			{"a long entry", func() {}, config.SecretKey{Secret: "lanlord-bgp", Key: "long"},
				`the entry "long" of the Secret lanlord-system/lanlord-bgp has 81 bytes, a password may have 80`, false},
			{"the password changes", func() { api.put(passwordSecret("lanlord-bgp", "tor-a=two", "tor-b=b")) },
				config.SecretKey{Secret: "lanlord-bgp", Key: "tor-a"}, "two", true},
			{"nothing changes", func() { api.put(passwordSecret("lanlord-bgp", "tor-a=two", "tor-b=b")) },
				config.SecretKey{Secret: "lanlord-bgp", Key: "tor-b"}, "b", false},
			{"the entry goes", func() { api.put(passwordSecret("lanlord-bgp", "tor-a=two")) },
				config.SecretKey{Secret: "lanlord-bgp", Key: "tor-b"}, "b", false},
			{"the Secret goes", func() { api.remove(passwordSecret("lanlord-bgp")) },
				config.SecretKey{Secret: "lanlord-bgp", Key: "tor-a"}, "two", true},
			{"another Secret", func() { api.put(passwordSecret("other", "key=x")) }, config.SecretKey{Secret: "other",
				Key: "key"}, "x", true},
			{"the configuration names it no more", func() { api.put(passwordConfig("lanlord-bgp/tor-a")) },
				config.SecretKey{Secret: "other", Key: "key"}, "the Secret lanlord-system/other has not been read yet", true},
			{"the configuration names it again", func() { api.put(passwordConfig("lanlord-bgp/tor-a", "other/key")) },
				config.SecretKey{Secret: "other", Key: "key"}, "x", true},
			{"the configuration is not valid", func() { api.put(configMap("nonsense: 1")) }, config.SecretKey{Secret: "other",
				Key: "key"}, "x", true},
		} {
			step.do()
			if n := wakes.take(); (n > 0) != step.wakes {
				t.Errorf("%s: %d wake-ups, want any: %t", step.what, n, step.wakes)
			}
			got, err := s.Password(step.secret)
			if err != nil {
				got = err.Error()
			}
			if got != step.want {
				t.Errorf("%s: got %q, want %q", step.what, got, step.want)
			}
		}
		if log.count("a Secret with BGP passwords is gone") != 1 || log.count("two") > 0 {
			t.Errorf("the log is\n%s", log.text.String())
		}
	})
}

// TestPasswordRefused has the API server refuse one Secret. The error tells the user how to fix the problem, and
// nothing else waits for the Secret.
func TestPasswordRefused(t *testing.T) {
	api := newFakeAPI(passwordConfig("mine/key", "lanlord-bgp/key"), passwordSecret("mine", "key=x"),
		passwordSecret("lanlord-bgp", "key=y"))
	allowed := false
	var mu sync.Mutex
	api.PrependReactor("list", "secrets", func(action clienttesting.Action) (bool, runtime.Object, error) {
		mu.Lock()
		defer mu.Unlock()
		restrictions := action.(clienttesting.ListActionImpl).GetListRestrictions()
		if name, _ := restrictions.Fields.RequiresExactMatch("metadata.name"); name == "mine" && !allowed {
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, name, errors.New("no"))
		}
		return false, nil, nil
	})
	withPasswords(t, api, func(t *testing.T, s *Store, wakes *counter, _ *lines) {
		if wakes.take() == 0 || !s.Synced() {
			t.Error("the Store waits for a Secret that it may not read")
		}
		if got, err := s.Password(config.SecretKey{Secret: "lanlord-bgp", Key: "key"}); got != "y" {
			t.Errorf("got %q, %v", got, err)
		}
		const want = "the speaker may not read the Secret lanlord-system/mine: use the Secret lanlord-bgp, or add the name to the Role lanlord-speaker in the namespace lanlord-system"
		if _, err := s.Password(config.SecretKey{Secret: "mine", Key: "key"}); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		mu.Lock()
		allowed = true
		mu.Unlock()
		sleep(t.Context(), 2*lastRetry)
		if got, err := s.Password(config.SecretKey{Secret: "mine", Key: "key"}); got != "x" || wakes.take() == 0 {
			t.Errorf("once allowed: %q, %v", got, err)
		}
	})
}
