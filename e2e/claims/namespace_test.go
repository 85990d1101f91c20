package claims

import (
	"net/netip"
	"testing"

	"github.com/lanlord/lanlord/e2e/inside"
)

// self is the address of the API server.
var self = netip.MustParsePrefix("10.99.0.1/32")

// TestMain runs the tests in a network namespace.
func TestMain(m *testing.M) {
	inside.Main(m, inside.Options{
		Programs: []string{"./cmd/controller"}, Prepare: func() error { return inside.Loopback(self) },
	})
}
