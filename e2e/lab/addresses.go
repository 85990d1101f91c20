package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
)

// Family is an IP version.
type Family int

// The families.
const (
	IPv4 Family = iota
	IPv6
)

// String returns the name as Kubernetes writes it.
func (f Family) String() string {
	if f == IPv6 {
		return "IPv6"
	}
	return "IPv4"
}

// addressBook remembers the last address handed out, by family.
type addressBook [2]netip.Addr

// FreeAddresses returns consecutive addresses of the docker network that nobody uses:
// outside the range that Docker takes its own from, and asked for in vain. No test gets
// the same address twice from one Lab.
func (l *Lab) FreeAddresses(family Family, n int) []netip.Addr {
	l.t.Helper()
	subnet, taken, err := l.cluster.Subnet(context.Background(), family)
	l.must(err)
	var run []netip.Addr
	candidate := l.used[family]
	if !candidate.IsValid() {
		candidate = lastOf(taken)
	}
	for len(run) < n {
		candidate = candidate.Next()
		// The subnet's last address is IPv4's broadcast.
		if !candidate.IsValid() || !subnet.Contains(candidate) || candidate == lastOf(subnet) {
			l.t.Fatalf("the docker network has no %d free addresses in a row in %s outside %s", n, subnet, taken)
		}
		if l.inUse(candidate) {
			run = nil
			continue
		}
		run = append(run, candidate)
	}
	l.used[family] = candidate
	l.forgetNeighbours(run)
	return run
}

func (l *Lab) inUse(address netip.Addr) bool {
	l.t.Helper()
	return len(l.neighbours(address, "--count", "1", "--wait", "50ms").Answers) > 0
}

// Subnet returns the network's subnet of a family, and the part that Docker uses.
func (c *Cluster) Subnet(ctx context.Context, family Family) (subnet, taken netip.Prefix, err error) {
	output, err := c.Docker(ctx, "network", "inspect", "--format", "{{json .IPAM.Config}}", NetworkName)
	if err != nil {
		return subnet, taken, err
	}
	var configs []struct{ Subnet, IPRange netip.Prefix }
	if err := json.Unmarshal([]byte(output), &configs); err != nil {
		return subnet, taken, fmt.Errorf("docker network inspect %s: %w", NetworkName, err)
	}
	for _, config := range configs {
		if config.Subnet.Addr().Is6() == (family == IPv6) {
			return config.Subnet, config.IPRange, nil
		}
	}
	return subnet, taken, fmt.Errorf("the docker network has no %s subnet", family)
}

// lastOf returns the highest address of a prefix.
func lastOf(prefix netip.Prefix) netip.Addr {
	bytes := prefix.Masked().Addr().AsSlice()
	for bit := prefix.Bits(); bit < len(bytes)*8; bit++ {
		bytes[bit/8] |= 1 << (7 - bit%8)
	}
	last, _ := netip.AddrFromSlice(bytes)
	return last
}
