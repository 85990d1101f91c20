package ownership

import "time"

const (
	// foreignMemory is how long after its last claim a foreign host is remembered.
	foreignMemory = time.Minute
	// quarantineRecheck is how often an address in quarantine is probed, to see whether it has become free.
	quarantineRecheck = 30 * time.Second
)

// Foreign is a host that answers for an address and should not.
type Foreign struct {
	Host
	// LastHeard is when the host claimed the address last; zero when there is no such host.
	LastHeard time.Time
	// Quarantine is true when the address was new: no node takes it while the host has it.
	Quarantine bool
}

// Known reports whether there is such a host.
func (f *Foreign) Known() bool { return !f.LastHeard.IsZero() }

// hear notes a claim and reports whether the host is another one than before.
func (f *Foreign) hear(now time.Time, h Host, quarantine bool) (news bool) {
	news = f.Host != h || !f.Known()
	f.Host, f.LastHeard, f.Quarantine = h, now, f.Quarantine || quarantine
	return news
}

func (f *Foreign) forget() { *f = Foreign{} }

// expiry returns when the host is forgotten, zero for never.
func (f *Foreign) expiry() time.Time {
	if !f.Known() || f.Quarantine {
		return time.Time{}
	}
	return f.LastHeard.Add(foreignMemory)
}

// recheck returns when to probe an address in quarantine, zero for never.
func (f *Foreign) recheck() time.Time {
	if !f.Quarantine {
		return time.Time{}
	}
	return f.LastHeard.Add(quarantineRecheck)
}
