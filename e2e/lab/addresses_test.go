package lab

import (
	"net/netip"
	"testing"
)

func TestLastOf(t *testing.T) {
	for prefix, want := range map[string]string{
		"172.30.0.0/24":  "172.30.0.255",
		"172.30.0.0/26":  "172.30.0.63",
		"10.1.2.0/23":    "10.1.3.255",
		"10.1.2.3/32":    "10.1.2.3",
		"fd00:30::/112":  "fd00:30::ffff",
		"fd00:30::1/128": "fd00:30::1",
	} {
		if got := lastOf(netip.MustParsePrefix(prefix)); got != netip.MustParseAddr(want) {
			t.Errorf("lastOf(%s) = %s, want %s", prefix, got, want)
		}
	}
}
