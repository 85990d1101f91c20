package gossip

import (
	"bytes"
	"slices"
	"time"
)

const (
	// learnTime is the time between accepting a new key and sending with the key. In this time the other speakers learn
	// of a changed Secret.
	learnTime = 5 * time.Second
	// keepTime is the time for which gossip still accepts a key after its removal from the Secret.
	keepTime = 10 * time.Minute
)

// keychain selects the accepted keys and the key to send with.
type keychain struct {
	// keys lists the accepted keys: the keys of the Secret in the order of the Secret, then the removed keys, the
	// newest first.
	keys   []key
	sender []byte
}

// key is one accepted key.
type key struct {
	secret []byte
	// usable is the time from which gossip may send with the key. gone is the time of the key's removal from the
	// Secret, zero while the Secret has the key.
	usable, gone time.Time
}

// update applies the current keys of the Secret. A Secret without keys changes nothing, so deleting the Secret stops no
// speaker.
func (c *keychain) update(secret [][]byte, now time.Time) {
	if len(secret) == 0 {
		secret = c.inSecret()
	}
	usable := now.Add(learnTime)
	if len(c.keys) == 0 {
		usable = now // there is no other key
	}
	var keys []key
	for _, s := range secret {
		k, known := c.find(s)
		if !known {
			k = key{secret: s, usable: usable}
		}
		k.gone = time.Time{}
		keys = append(keys, k)
	}
	for _, k := range c.keys {
		if slices.ContainsFunc(secret, k.is) {
			continue
		}
		if k.gone.IsZero() {
			k.gone = now
		}
		if now.Sub(k.gone) < keepTime {
			keys = append(keys, k)
		}
	}
	c.keys = keys
	if len(keys) > 0 && !keys[0].usable.After(now) {
		c.sender = keys[0].secret
	}
}

// accepted returns all accepted keys, each once. The first is the key to send with.
func (c *keychain) accepted() [][]byte {
	if len(c.keys) == 0 {
		return nil
	}
	list := [][]byte{c.sender}
	for _, k := range c.keys {
		if !slices.ContainsFunc(list, k.is) {
			list = append(list, k.secret)
		}
	}
	return list
}

// inSecret returns the last keys of the Secret.
func (c *keychain) inSecret() (secret [][]byte) {
	for _, k := range c.keys {
		if k.gone.IsZero() {
			secret = append(secret, k.secret)
		}
	}
	return secret
}

func (c *keychain) find(secret []byte) (key, bool) {
	i := slices.IndexFunc(c.keys, func(k key) bool { return k.is(secret) })
	if i < 0 {
		return key{}, false
	}
	return c.keys[i], true
}

func (k key) is(secret []byte) bool { return bytes.Equal(k.secret, secret) }
