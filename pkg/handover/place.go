package handover

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Place is what a process holds for its node. A process of another release may omit the fields after Members, and may send fields that this
// one ignores.
type Place struct {
	// Addrs are the addresses that it answers for.
	Addrs []netip.Addr `json:"addrs,omitempty"`
	// Members are the members of the gossip that it knows, itself included if it likes.
	Members []Member `json:"members,omitempty"`
	// Config is the configuration in use. It is zero when there is none, and when the text has more than MaxConfig bytes.
	Config Config `json:"config,omitzero"`
	// Since is when the node became ready, in seconds of Unix time; 0 when the node is not ready, or the time is not known.
	Since int64 `json:"since,omitempty"`
}

// Config is a configuration as its ConfigMap had it.
type Config struct {
	Text string `json:"text"`
	// Version is the resourceVersion of the ConfigMap.
	Version uint64 `json:"version"`
}

// MaxConfig is the most bytes of a configuration's text that a Place carries: as much as a ConfigMap can hold.
const MaxConfig = 1 << 20

// Member is one member of the gossip.
type Member struct {
	// Name is the member's name, 1 to 253 bytes.
	Name string `json:"name"`
	// MACs are the addresses it answers from, as its holder spells them, each of 1 to 64 bytes.
	MACs []string `json:"macs,omitempty"`
}

const (
	maxName = 253 // of a Node, as Kubernetes has it
	maxMAC  = 64  // the 20 bytes of InfiniBand take 59
)

// clone returns a copy that shares nothing with p, its addresses without zones, and IPv4 not mapped to IPv6.
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

// bounded returns c, or the zero value when its text is too long.
func (c Config) bounded() Config {
	if len(c.Text) > MaxConfig {
		return Config{}
	}
	return c
}

// check returns all that makes p no place.
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
