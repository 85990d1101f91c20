package inspect

import (
	"fmt"
	"io"
	"math/big"
	"net/netip"
	"strings"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/status"
)

// PoolList lists the pools of the configuration, in the order in which the controller takes addresses from them.
type PoolList struct {
	Pools []PoolRow `json:"pools"`
	// Problem explains why the newest configuration could not be used; empty if the configuration is in use.
	Problem  string `json:"problem,omitempty"`
	NotKnown []Gap  `json:"notKnown,omitempty"`
}

// PoolRow describes one family of one pool.
type PoolRow struct {
	Name   string `json:"name"`
	Family string `json:"family"`
	// Protocols are "layer2", "bgp" or both; nil if unknown.
	Protocols []string `json:"protocols"`
	// Size is the exact number of addresses.
	Size *big.Int `json:"size"`
	// Used counts the addresses that Services have.
	Used int `json:"used"`
	// Free is the number of addresses that the controller could assign now. Without a report of the leader, reserved
	// and withheld addresses count as free.
	Free *big.Int `json:"free"`
	// Resting counts the addresses in cool-down, Reserved the addresses that are reserved for certain Services, and
	// Withheld the addresses of nodes, gateways and other objects and the ends of subnets. All three are nil without a
	// report of the leader.
	Resting  *int `json:"resting,omitempty"`
	Reserved *int `json:"reserved,omitempty"`
	Withheld *int `json:"withheld,omitempty"`
	// Quarantined counts the addresses for which a foreign host answers.
	Quarantined int      `json:"quarantined"`
	AutoAssign  bool     `json:"autoAssign"`
	Disabled    bool     `json:"disabled"`
	Ranges      []string `json:"ranges"`
	// Waiting counts the Services that wait for an address of the pool.
	Waiting int `json:"waiting"`
}

// tell applies the counts from the controller.
func (r *PoolRow) tell(s status.Stock) {
	r.Resting, r.Reserved, r.Withheld = &s.Resting, &s.Reserved, &s.Withheld
	if free, ok := new(big.Int).SetString(s.Free, 10); ok {
		r.Free = free
	}
}

// free returns the number of addresses that are neither used nor in quarantine, never less than 0.
func free(size *big.Int, u use) *big.Int {
	n := new(big.Int).Sub(size, big.NewInt(int64(u.used+u.quarantined)))
	if n.Sign() < 0 {
		return n.SetInt64(0)
	}
	return n
}

// Pools lists the pools.
func Pools(c *Cluster) PoolList {
	list := PoolList{Pools: []PoolRow{}, NotKnown: c.gaps(OfServices, OfOthers, OfConfig, OfProcesses)}
	cfg := c.Config.Config
	if cfg == nil {
		list.Problem = c.configProblem()
		list.Pools = c.inForce()
		return list
	}
	used := poolUse(c)
	for i := range cfg.Pools {
		p := &cfg.Pools[i]
		v4, v6 := p.Size()
		for _, family := range []cluster.Family{cluster.IPv4, cluster.IPv6} {
			size := v4
			if family == cluster.IPv6 {
				size = v6
			}
			if size.Sign() == 0 {
				continue
			}
			key := poolFamily{p.Name, family}
			row := PoolRow{
				Name: p.Name, Family: family.String(), Protocols: p.Protocols(), Size: size, Used: used[key].used, Quarantined: used[key].quarantined, Free: free(size, used[key]),
				AutoAssign: p.AutoAssign, Disabled: p.Disabled, Ranges: rangeTexts(p, family), Waiting: used[key].waiting,
			}
			if s, ok := c.stock(p.Name, family); ok {
				row.tell(s)
			}
			list.Pools = append(list.Pools, row)
		}
	}
	return list
}

// inForce returns the pools that the leader uses.
func (c *Cluster) inForce() []PoolRow {
	rows := []PoolRow{}
	l := c.leader()
	if l == nil {
		return rows
	}
	for _, p := range l.Says.Pools {
		for _, s := range p.Families {
			row := PoolRow{
				Name: p.Name, Family: s.Family, Protocols: p.Protocols, Size: new(big.Int), Free: new(big.Int), Used: s.Used, Quarantined: s.Quarantined,
				AutoAssign: p.AutoAssign, Disabled: p.Disabled, Ranges: []string{p.Addresses},
			}
			if size, ok := new(big.Int).SetString(s.Size, 10); ok {
				row.Size = size
			}
			row.tell(s)
			rows = append(rows, row)
		}
	}
	return rows
}

type poolFamily struct {
	pool   string
	family cluster.Family
}

type use struct{ used, quarantined, waiting int }

// poolUse counts the used and quarantined addresses and the waiting Services of each pool.
func poolUse(c *Cluster) map[poolFamily]use {
	count := map[poolFamily]use{}
	add := func(a netip.Addr, change func(*use)) {
		if pool := c.poolOf(a); pool != "" {
			key := poolFamily{pool, cluster.FamilyOf(a)}
			u := count[key]
			change(&u)
			count[key] = u
		}
	}
	for a := range holdersOf(c) {
		add(a, func(u *use) { u.used++ })
	}
	for _, s := range c.strangers() {
		if s.Quarantine && len(c.Holders(s.Addr)) == 0 {
			add(s.Addr, func(u *use) { u.quarantined++ })
		}
	}
	for _, s := range c.waiting() {
		if s.Assignment == nil {
			continue
		}
		for _, p := range s.Assignment.Problems {
			for _, pool := range p.Full {
				key := poolFamily{pool, p.Family}
				u := count[key]
				u.waiting++
				count[key] = u
			}
		}
	}
	return count
}

func rangeTexts(p *config.Pool, family cluster.Family) (texts []string) {
	for _, r := range p.Ranges {
		if cluster.FamilyOf(r.From) == family {
			texts = append(texts, r.String())
		}
	}
	return texts
}

// WriteText writes a table with one line for each family of a pool.
func (l PoolList) WriteText(out io.Writer) error { return l.write(out, false) }

// WriteWide writes the table with the ranges.
func (l PoolList) WriteWide(out io.Writer) error { return l.write(out, true) }

func (l PoolList) write(out io.Writer, wide bool) error {
	if l.Problem != "" || len(l.Pools) == 0 {
		text := or(l.Problem, "The configuration has no pools, so no Service gets an address.")
		if len(l.Pools) > 0 {
			text += " The last good one is in use:"
		}
		if err := line(out, text); err != nil {
			return err
		}
	}
	if len(l.Pools) > 0 {
		if err := writeTable(out, l.rows(wide)); err != nil {
			return err
		}
	}
	return writeGaps(out, l.NotKnown)
}

func (l PoolList) rows(wide bool) [][]string {
	rows := [][]string{{"POOL", "FAMILY", "PROTOCOLS", "SIZE", "USED", "FREE", "RESTING", "QUARANTINED", "WAITING", "USE"}}
	if wide {
		rows[0] = append(rows[0], "ADDRESSES")
	}
	for _, p := range l.Pools {
		resting := unknown
		if p.Resting != nil {
			resting = fmt.Sprint(*p.Resting)
		}
		use := "automatic"
		switch {
		case p.Disabled:
			use = "disabled"
		case !p.AutoAssign:
			use = "on request"
		}
		row := []string{
			sentence(p.Name), p.Family, or(strings.Join(p.Protocols, ","), unknown), p.Size.String(), fmt.Sprint(p.Used), p.Free.String(), resting, fmt.Sprint(p.Quarantined), fmt.Sprint(p.Waiting), use,
		}
		if wide {
			row = append(row, strings.Join(p.Ranges, ","))
		}
		rows = append(rows, row)
	}
	return rows
}

// configProblem explains why there is no configuration, empty if there is one.
func (c *Cluster) configProblem() string {
	switch {
	case !c.Config.Known:
		return "The configuration could not be read."
	case !c.Config.Found:
		return fmt.Sprintf("There is no ConfigMap %s in the namespace %s, so no Service gets an address.", c.Config.Name, c.Namespace)
	case c.Config.Problem != nil:
		return fmt.Sprintf("The %s is refused: %s", c.configOrigin(), sentence(c.Config.Problem.Error()))
	}
	return ""
}

func bigFloat(n *big.Int) float64 {
	f, _ := new(big.Float).SetInt(n).Float64()
	return f
}
