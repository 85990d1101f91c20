package kindsoak

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/lanlord/lanlord/e2e/lab"
)

// pools are the parts of the docker network's subnets that Docker gives to nobody. The last 32 addresses of IPv4 are for those
// Services alone that ask.
type pools struct{ subnet4, subnet6 netip.Prefix }

func findPools(ctx context.Context, c *lab.Cluster) (p pools, err error) {
	if p.subnet4, _, err = c.Subnet(ctx, lab.IPv4); err != nil {
		return p, err
	}
	if p.subnet4.Bits() != 24 {
		return p, fmt.Errorf("the docker network has %v, want a /24", p.subnet4)
	}
	p.subnet6, _, err = c.Subnet(ctx, lab.IPv6)
	return p, err
}

// The pools in the last byte of IPv4.
const (
	firstMain, lastMain   = 128, 199
	firstAsked, lastAsked = 200, 231
	firstSpare, lastSpare = 240, 247
)

func (p pools) four(last byte) netip.Addr {
	a := p.subnet4.Addr().As4()
	a[3] = last
	return netip.AddrFrom4(a)
}

func (p pools) six(last byte) netip.Addr {
	a := p.subnet6.Masked().Addr().As16()
	a[12], a[15] = 0x50, last // outside Docker's /112
	return netip.AddrFrom16(a)
}

// contains tells whether an address may be a Service's.
func (p pools) contains(a netip.Addr) bool {
	if a.Is6() {
		b := a.As16()
		return p.subnet6.Contains(a) && b[12] == 0x50
	}
	return p.subnet4.Contains(a) && a.As4()[3] >= firstMain
}

// asked is an address of the part that is only given to those who ask, by its number.
func (p pools) asked(number int) netip.Addr {
	return p.four(byte(firstAsked + number%(lastAsked-firstAsked+1)))
}

// configuration is the ConfigMap's text: a pool for all, one for those who ask, and what else there may be.
func (p pools) configuration(more, layer2 string) string {
	return fmt.Sprintf(`address-pools:
- {name: main, protocol: layer2, addresses: [%s-%s, "%s-%s"]}
- {name: asked, protocol: layer2, addresses: [%s-%s], auto-assign: false}
%slayer2: {ping: false%s}
`, p.four(firstMain), p.four(lastMain), p.six(1), p.six(200), p.four(firstAsked), p.four(lastAsked), more, layer2)
}

// edits are configurations that take no address from anybody, and breakages broken ones that change nothing at all.
func (p pools) edits() []string {
	spare := fmt.Sprintf("- {name: spare, protocol: layer2, addresses: [%s-%s], auto-assign: false}\n", p.four(firstSpare), p.four(lastSpare))
	return []string{
		p.configuration("", ", failback: 5s"),
		p.configuration("", ", rate: 200, refresh: 5s"),
		p.configuration(spare, ""),
		p.configuration(spare, ", failback: never"),
	}
}

func (p pools) breakages() []string {
	return []string{
		"address-pools: [",
		p.configuration("- {name: spare, protocol: layer2, addresses: [192.0.2.0/99]}\n", ""),
		p.configuration("- {name: spare, protocol: layer2, addresses: [192.0.2.0/24], auto-asign: false}\n", ""),
		p.configuration(fmt.Sprintf("- {name: twice, protocol: layer2, addresses: [%s/32]}\n", p.four(firstMain)), ""),
	}
}
