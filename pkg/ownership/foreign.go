package ownership

import "time"

const (
	// foreignMemory limits the time for which this node remembers a foreign host after the last claim.
	foreignMemory = time.Minute
	// quarantineRecheck is the interval between probes of an address in quarantine. The probes find out whether the
	// address has become free.
	quarantineRecheck = 30 * time.Second
)

// Foreign describes a host that answers for an address and should not.
type Foreign struct {
	Host
	// LastHeard is the time of the last claim; zero when no such host exists.
	LastHeard time.Time
	// Quarantine is true when the address was new: no node takes the address while the host has it.
	Quarantine bool
}

// Known reports whether such a host exists.
func (f *Foreign) Known() bool { return !f.LastHeard.IsZero() }

// hear records a claim and reports whether the host differs from the previous one.
func (f *Foreign) hear(now time.Time, h Host, quarantine bool) (news bool) {
	news = f.Host != h || !f.Known()
	f.Host, f.LastHeard, f.Quarantine = h, now, f.Quarantine || quarantine
	return news
}

func (f *Foreign) forget() { *f = Foreign{} }

// expiry returns the time at which this node forgets the host, zero for never.
func (f *Foreign) expiry() time.Time {
	if !f.Known() || f.Quarantine {
		return time.Time{}
	}
	return f.LastHeard.Add(foreignMemory)
}

// recheck returns the time of the next probe of an address in quarantine, zero for never.
func (f *Foreign) recheck() time.Time {
	if !f.Quarantine {
		return time.Time{}
	}
	return f.LastHeard.Add(quarantineRecheck)
}
