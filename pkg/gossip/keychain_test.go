package gossip

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestKeychain follows a Secret. Each key is one letter; the first accepted key is the key to send with.
func TestKeychain(t *testing.T) {
	type step struct {
		after  time.Duration
		secret string
		want   string
	}
	const second, minute = time.Second, time.Minute
	for name, steps := range map[string][]step{
		"a start takes the Secret as it is": {{0, "ab", "ab"}, {0, "ab", "ab"}},
		"no Secret yet":                     {{0, "", ""}, {minute, "a", "a"}},
		"the documented rotation waits for nothing": {
			{0, "a", "a"}, {minute, "ab", "ab"}, {minute, "ba", "ba"}, {minute, "b", "ba"}, {keepTime, "b", "b"},
		},
		"a deleted Secret stops nobody": {{0, "a", "a"}, {minute, "", "a"}, {time.Hour, "", "a"}},
		"a new Secret is accepted at once and used a little later": {
			{0, "a", "a"}, {minute, "", "a"}, {second, "b", "ab"}, {learnTime - 1, "b", "ab"}, {1, "b", "ba"},
			{keepTime - learnTime - 1, "b", "ba"}, {1, "b", "b"},
		},
		"two new Secrets in a row": {
			{0, "a", "a"}, {minute, "b", "ab"}, {3 * second, "c", "acb"}, {3 * second, "c", "acb"},
			{2 * second, "c", "cba"},
			{keepTime, "c", "c"},
		},
		"the old Secret comes back": {
			{0, "a", "a"}, {minute, "b", "ab"}, {3 * second, "a", "ab"}, {time.Minute, "a", "ab"}, {keepTime, "a", "a"},
		},
		"a key that is both new and first waits too": {{0, "b", "b"}, {minute, "ab", "ba"}, {learnTime, "ab", "ab"}},
	} {
		t.Run(name, func(t *testing.T) {
			var c keychain
			now := time.Now()
			for i, s := range steps {
				now = now.Add(s.after)
				var secret [][]byte
				for _, k := range s.secret {
					secret = append(secret, []byte(string(k)))
				}
				c.update(secret, now)
				var got strings.Builder
				for _, k := range c.accepted() {
					fmt.Fprintf(&got, "%s", k)
				}
				if got.String() != s.want {
					t.Errorf("step %d: the Secret has %q, accepted are %q, want %q", i+1, s.secret, got.String(),
						s.want)
				}
			}
		})
	}
}
