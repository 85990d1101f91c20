package handover

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Place is the state of one node that the holder offers. A process of another release may omit the fields after
// Members, and may send fields that this release ignores.
type Place struct {
	// Addrs are the addresses that the process answers for.
	Addrs []netip.Addr `json:"addrs,omitempty"`
	// Members are the gossip members that the process knows. The list may include the process itself.
	Members []Member `json:"members,omitempty"`
	// Config is the configuration in use. Config is zero without a configuration, and for a text of more than MaxConfig
	// bytes.
	Config Config `json:"config,omitzero"`
	// Since is the time at which the node became ready, in seconds of Unix time. Since is 0 if the node is not ready or
	// the time is not known.
	Since int64 `json:"since,omitempty"`
}

// Config holds a configuration as read from its ConfigMap.
type Config struct {
	Text string `json:"text"`
	// Version is the resourceVersion of the ConfigMap.
	Version uint64 `json:"version"`
}

// MaxConfig is the greatest length in bytes of a configuration in a Place, equal to the limit of a ConfigMap.
const MaxConfig = 1 << 20

// Member is one member of the gossip.
type Member struct {
	// Name is the member's name, 1 to 253 bytes.
	Name string `json:"name"`
	// MACs are the addresses that the member answers from, in the spelling of the holder, each of 1 to 64 bytes.
	MACs []string `json:"macs,omitempty"`
}

const (
	maxName = 253 // the limit of Kubernetes for the name of a Node
	maxMAC  = 64  // the 20 bytes of InfiniBand take 59
)

// clone returns a copy that shares no memory with p. The copy has addresses without zones, and no IPv4-mapped IPv6.
func (p Place) clone() Place {
	c := Place{Addrs: slices.Clone(p.Addrs), Members: slices.Clone(p.Members)}
	for i, a := range c.Addrs {
		c.Addrs[i] = a.Unmap().WithZone("")
	}
	for i, m := range c.Members {
		c.Members[i].MACs = slices.Clone(m.MACs)
	}
	c.Config, c.Since = p.Config.bounded(), p.Since
	return c
}

// bounded returns c, or the zero value if the text of c is too long.
func (c Config) bounded() Config {
	if len(c.Text) > MaxConfig {
		return Config{}
	}
	return c
}

// check returns all errors in p.
func (p Place) check() error {
	var problems []error
	for i, a := range p.Addrs {
		if !a.IsValid() || a.Zone() != "" || a.Is4In6() {
			problems = append(problems, fmt.Errorf("address %d is %q, must be without a zone and not mapped", i, a))
		}
	}
	for i, m := range p.Members {
		if m.Name == "" || len(m.Name) > maxName {
			problems = append(problems, fmt.Errorf("the name of member %d has %d bytes, must have 1 to %d", i, len(m.Name), maxName))
		}
		for _, mac := range m.MACs {
			if mac == "" || len(mac) > maxMAC {
				problems = append(problems, fmt.Errorf("a MAC of member %d has %d bytes, must have 1 to %d", i, len(mac), maxMAC))
			}
		}
	}
	return errors.Join(problems...)
}
