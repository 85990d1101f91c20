// Package dns takes the place of the package of the same name in lego, which Traefik asks for certificates: that one has
// the clients of all DNS services, more code than the rest of Traefik together, and modules that not every proxy has.
package dns

import (
	"fmt"

	"github.com/go-acme/lego/v4/challenge"
)

// NewDNSChallengeProviderByName knows no provider.
func NewDNSChallengeProviderByName(name string) (challenge.Provider, error) {
	return nil, fmt.Errorf("DNS provider %q: this build has none", name)
}
