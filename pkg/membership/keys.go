package membership

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/memberlist"
)

const (
	// minKey is the minimum length of a secret in bytes, 128 bits if the bytes are random.
	minKey = 16
	// keyInfo binds derived keys to their purpose. All members must use the same value.
	keyInfo = "lanlord gossip v1"
	// gossipKey is the length of a derived key in bytes, for AES-256.
	gossipKey = 32
)

// deriveKey returns the gossip key for a secret.
func deriveKey(secret []byte) ([]byte, error) {
	return hkdf.Key(sha256.New, secret, nil, keyInfo, gossipKey)
}

// deriveKeys returns the gossip keys for secrets.
func deriveKeys(secrets [][]byte) ([][]byte, error) {
	if len(secrets) == 0 {
		return nil, errors.New("no gossip key, and gossip is never unencrypted")
	}
	var keys [][]byte
	for i, secret := range secrets {
		if len(secret) < minKey {
			return nil, fmt.Errorf("gossip key %d of %d has %d bytes, fewer than %d", i+1, len(secrets), len(secret), minKey)
		}
		key, err := deriveKey(secret)
		if err != nil {
			return nil, fmt.Errorf("derive gossip key %d of %d: %w", i+1, len(secrets), err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// newKeyring returns a keyring with the keys derived from secrets. The first key encrypts outgoing gossip.
func newKeyring(secrets [][]byte) (*memberlist.Keyring, error) {
	keys, err := deriveKeys(secrets)
	if err != nil {
		return nil, err
	}
	return memberlist.NewKeyring(keys, keys[0])
}

// SetKeys replaces the keys, at any time: the first key encrypts outgoing gossip from now on, and incoming gossip is
// accepted when any of the keys decrypts it. A rotation without loss has three steps: all members accept the new key,
// then all members use the new key, then all members drop the old key. SetKeys returns an error, and changes nothing,
// when there is no key or a key has fewer than 16 bytes. Only one goroutine at a time may call SetKeys.
func (m *Membership) SetKeys(secrets [][]byte) error {
	keys, err := deriveKeys(secrets)
	if err != nil {
		return fmt.Errorf("change gossip keys: %w", err)
	}
	if err := replaceKeys(m.keyring, keys); err != nil {
		return fmt.Errorf("change gossip keys: %w", err)
	}
	return nil
}

// replaceKeys replaces the keys of ring; the first key encrypts outgoing gossip.
//
// replaceKeys removes keys only from the end of the ring, because a removal from the middle moves the other keys in
// memory that memberlist reads without a lock to decrypt. So a key behind a removed key is added again afterwards, and
// is missing for an instant; this happens only with three keys.
func replaceKeys(ring *memberlist.Keyring, keys [][]byte) error {
	if err := ring.AddKey(keys[0]); err != nil {
		return err
	}
	if err := ring.UseKey(keys[0]); err != nil {
		return err
	}
	unwanted := func(key []byte) bool {
		return !slices.ContainsFunc(keys, func(k []byte) bool { return bytes.Equal(k, key) })
	}
	for now := ring.GetKeys(); slices.ContainsFunc(now, unwanted); now = ring.GetKeys() {
		if err := ring.RemoveKey(now[len(now)-1]); err != nil {
			return err
		}
	}
	for _, key := range keys[1:] {
		if err := ring.AddKey(key); err != nil {
			return err
		}
	}
	return nil
}
