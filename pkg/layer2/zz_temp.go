package layer2

import "net/netip"

// KernelAddrs is temporary.
func (a *Announcer) KernelAddrs() []netip.Addr { return nil }

// MACs is temporary.
func (a *Announcer) MACs() []MAC { return nil }
