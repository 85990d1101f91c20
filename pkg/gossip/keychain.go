package gossip

import (
	"bytes"
	"slices"
	"time"
)

const (
	// learnTime is the time between accepting a new key and sending with it. The other speakers learn of a changed
	// Secret in this time.
	learnTime = 5 * time.Second
	// keepTime is the time for which a key that has left the Secret is still accepted.
	keepTime = 10 * time.Minute
)

// keychain decides which keys gossip accepts and which one it sends with.
type keychain struct {
	// keys are the accepted keys: those of the Secret in its order, then those that have left it, the newest first.
	keys   []key
	sender []byte
}

// key is one accepted key.
type key struct {
	secret []byte
	// From usable on, the key may be used to send. gone is the time when the key left the Secret, zero while the Secret
	// has it.
	usable, gone time.Time
}

// update takes over the keys that the Secret has now. A Secret without keys changes nothing, so that its deletion stops
// no speaker.
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

// accepted returns all accepted keys, each once. The first is the one to send with.
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

// inSecret returns the keys that the Secret had last.
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
