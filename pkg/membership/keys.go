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
	// minKey is the least length of a secret in bytes, 128 bits if they are random.
	minKey = 16
	// keyInfo binds derived keys to their purpose. It is part of the contract between members.
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

// newKeyring returns the keys derived from secrets, the first of which is used to send.
func newKeyring(secrets [][]byte) (*memberlist.Keyring, error) {
	keys, err := deriveKeys(secrets)
	if err != nil {
		return nil, err
	}
	return memberlist.NewKeyring(keys, keys[0])
}

// SetKeys replaces the keys, at any time: what is sent from now on is encrypted with the first, and whatever is encrypted
// with any of them is accepted. To change keys without loss, all members first accept the new one, then use it, then drop the
// old one. It returns an error when there is no key or one has fewer than 16 bytes; then nothing has changed. It is for one
// goroutine at a time.
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

// replaceKeys puts keys in the place of those of ring; the first is used to send.
//
// Keys are taken off the end of the ring alone. Taking one from the middle moves the others in memory that memberlist
// reads meanwhile, without a lock, to decrypt. So a key behind one that goes is put back afterwards, and is missing for an
// instant; that takes a ring of three.
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
