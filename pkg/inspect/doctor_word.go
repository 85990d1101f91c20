package inspect

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/reason"
	"github.com/lanlord/lanlord/pkg/status"
)

// The checks in this file examine the reports of Lanlord's processes about themselves and each other.

// checkVersions looks for processes of different versions.
func checkVersions(c *Cluster, f *findings) string {
	versions := map[string][]string{}
	note := func(version, who string) {
		if version != "" {
			versions[version] = append(versions[version], who)
		}
	}
	for i := range c.Controllers {
		if s := c.Controllers[i].Says; s != nil {
			note(s.Version, "the controller")
		}
	}
	for i := range c.Speakers {
		if s := c.Speakers[i].Says; s != nil {
			note(s.Version, "the speaker on "+c.Speakers[i].Node)
		}
	}
	list := slices.Sorted(keysOf(versions))
	if len(list) > 1 {
		var texts []string
		for _, version := range list {
			texts = append(texts, fmt.Sprintf("%s (%s)", version, listed(versions[version])))
		}
		f.remark("finish the update: kubectl -n "+c.Namespace+" rollout status daemonset speaker",
			"Lanlord's processes are of different versions: %s", strings.Join(texts, "; "))
	}
	if len(list) == 0 {
		f.unchecked("no process could be asked for its version")
		return ""
	}
	return "all processes are of version " + list[0]
}

// checkConfiguration checks the configuration, and whether all processes use it.
func checkConfiguration(c *Cluster, f *findings) string {
	object := c.configOrigin()
	switch {
	case !c.Config.Known:
	case !c.Config.Found:
		f.wrong("create it with an entry \"config\"; deploy/config.example.yaml has all keys", "there is no %s, so no Service gets an address; %s", object, c.fallback())
	case c.Config.Problem != nil:
		f.wrong(c.configFix(),
			"the %s is refused, and %s: %s", object, c.fallback(), strings.ReplaceAll(c.Config.Problem.Error(), "\n", "; "))
	default:
		if len(c.Config.Config.Pools) == 0 {
			f.wrong("add a pool", "the configuration has no pool, so no Service gets an address")
		}
		for _, w := range c.Config.Config.Warnings {
			f.remark("", "the configuration is accepted, but not as written: %s", w)
		}
		c.behind(f)
	}
	if c.Config.Config == nil {
		return "" // a finding or a gap explains this
	}
	return fmt.Sprintf("the %s is valid, has %s, and is in use everywhere", object, Count(len(c.Config.Config.Pools), "pool"))
}

// fallback describes the configuration in use while the newest configuration is missing or refused.
func (c *Cluster) fallback() string {
	for _, p := range c.processes() {
		if p.Configuration.Hash != "" {
			return "the last good one stays in use"
		}
	}
	return "there is no earlier one to use"
}

// processes returns all processes that could be asked.
func (c *Cluster) processes() (list []*status.Process) {
	for i := range c.Controllers {
		if s := c.Controllers[i].Says; s != nil {
			list = append(list, &s.Process)
		}
	}
	for i := range c.Speakers {
		if s := c.Speakers[i].Says; s != nil {
			list = append(list, &s.Process)
		}
	}
	return list
}

// behind looks for processes with another configuration than most processes, and for processes without a connection to
// the API server.
func (c *Cluster) behind(f *findings) {
	hashes := map[string]int{}
	for _, p := range c.processes() {
		hashes[p.Configuration.Hash]++
	}
	most := ""
	for hash, n := range hashes {
		if n > hashes[most] || n == hashes[most] && hash > most {
			most = hash
		}
	}
	for _, p := range c.processes() {
		who := p.Kind + " " + p.Pod + onNode(p.Node)
		logs := fmt.Sprintf("kubectl -n %s logs %s", c.Namespace, p.Pod)
		switch {
		case !p.Connected:
			f.wrong(logs, "the %s has lost the API server, and goes on with what it knew", who)
		case p.Configuration.Stale:
			f.wrong(logs, "the %s does not use the newest configuration%s", who, colon(strings.Join(p.Configuration.Problems, "; ")))
		case p.Configuration.Hash != most:
			f.wrong("wait some seconds; then "+logs, "the %s uses another configuration than the others", who)
		}
	}
}

// checkKeys checks the Secret with the gossip keys, if the Secret could be read, and looks for speakers that wait for a
// key.
func checkKeys(c *Cluster, f *findings) string {
	mend := fmt.Sprintf("restart the controller, which creates it: kubectl -n %s rollout restart deployment controller", c.Namespace)
	if c.GossipKeys == 0 {
		f.wrong(mend, "the Secret %s/lanlord-gossip is missing or holds no key of at least 16 bytes, so no speaker that starts can gossip", c.Namespace)
	}
	var waiting []string
	for i := range c.Speakers {
		if s := &c.Speakers[i]; s.Says != nil && s.hasNotJoined() {
			waiting = append(waiting, s.Node)
		}
	}
	switch {
	case len(waiting) > 0 && c.GossipKeys < 0:
		f.wrong(mend, "speakers wait for their Node or for a gossip key: %s", listed(waiting))
	case c.GossipKeys < 0:
		return "no speaker waits for a key (you may not read the Secret)"
	}
	return fmt.Sprintf("the Secret %s/lanlord-gossip has %s", c.Namespace, Count(c.GossipKeys, "key"))
}

// checkInterfaces looks for nodes without an interface for announcements.
func checkInterfaces(c *Cluster, f *findings) string {
	onLayer2 := func(p config.Pool) bool { return p.Layer2 }
	if cfg := c.Config.Config; cfg != nil && len(cfg.Pools) > 0 && !slices.ContainsFunc(cfg.Pools, onLayer2) {
		return "no pool has protocol layer2, which alone needs an interface to announce on"
	}
	if len(c.speakers()) == 0 {
		f.unchecked("no speaker could be asked for its interfaces")
	}
	for _, s := range c.speakers() {
		checkBonds(s.Node, s.Says.Interfaces, f)
		var down, apart []string
		usable := 0
		for _, i := range s.Says.Interfaces {
			switch {
			case i.Used && i.Carrier:
				usable++
			case i.Used:
				down = append(down, i.Name)
			default:
				apart = append(apart, fmt.Sprintf("%s (%s)", i.Name, i.NotUsed))
			}
		}
		switch {
		case usable > 0 && len(down) > 0:
			f.remark("", "%s has no carrier on %s, or it is switched off", s.Node, listed(down))
		case usable > 0:
		case len(down) > 0:
			f.wrong("plug it in, or ip link set "+down[0]+" up on the node", "%s has no carrier on %s, or it is switched off, so it announces nothing", s.Node, listed(down))
		default:
			f.wrong("", "%s has no interface that addresses can be announced on; not used: %s", s.Node, or(listed(apart), "it has none"))
		}
	}
	return "every speaker that could be asked has an interface to announce on"
}

// checkBonds looks for bonds whose mode has a fault.
func checkBonds(node string, interfaces []status.Interface, f *findings) {
	for _, i := range interfaces {
		fault, is := reason.FaultOfBond(i.BondMode)
		if !is || !i.Used {
			continue
		}
		add := f.remark
		if fault.Certain {
			add = f.wrong
		}
		add(fault.Mend, "%s announces on %s, a bond or an interface on a bond in mode %s: %s", node, i.Name, i.BondMode, fault.Text)
	}
}

// checkPools looks for pools that are full or nearly full.
func checkPools(c *Cluster, f *findings) string {
	const nearly = 0.9
	list := Pools(c)
	if len(list.Pools) == 0 {
		return "no pools to look at"
	}
	for _, p := range list.Pools {
		used := float64(p.Used) / max(1, bigFloat(p.Size))
		switch name := fmt.Sprintf("the pool %q", sentence(p.Name)); {
		case p.Waiting > 0:
			f.wrong("add addresses to the pool, or remove Services that need none",
				"%s is full: %d of %s %s addresses are used, and %s for one", name, p.Used, p.Size, p.Family, wait(p.Waiting))
		case p.Free.Sign() == 0 && !p.Disabled:
			f.remark("add addresses before the next Service comes", "%s is full: %d of %s %s addresses are used", name, p.Used, p.Size, p.Family)
		case used >= nearly && !p.Disabled:
			f.remark("add addresses in time", "%s is nearly full: %d of %s %s addresses are used", name, p.Used, p.Size, p.Family)
		}
	}
	return fmt.Sprintf("%s, none of them full", Count(len(list.Pools), "pool"))
}

func wait(n int) string {
	if n == 1 {
		return "1 Service waits"
	}
	return fmt.Sprintf("%d Services wait", n)
}

// checkServices looks for Services that are not assigned, and for preferred nodes that do not exist.
func checkServices(c *Cluster, f *findings) string {
	type cause struct{ reason, message, mend string }
	byCause := map[cause][]string{}
	for _, s := range c.waiting() {
		why := cause{reasonUndecided, undecided + colonOr(c.controllerTrouble()), ""}
		if s.Condition != nil {
			why = cause{s.Condition.Reason, s.Condition.Message, serviceFix(s)}
		}
		byCause[why] = append(byCause[why], s.Key.String())
	}
	causes := make([]cause, 0, len(byCause))
	for why := range byCause {
		causes = append(causes, why)
	}
	slices.SortFunc(causes, func(x, y cause) int {
		return cmp.Or(cmp.Compare(len(byCause[y]), len(byCause[x])), cmp.Compare(x.reason, y.reason), cmp.Compare(x.message, y.message),
			cmp.Compare(x.mend, y.mend))
	})
	const most = 10
	for i, why := range causes {
		if i == most {
			f.wrong("kubectl lanlord services -o wide lists all", "and Services that wait for %s", Count(len(causes)-most, "more reason"))
			break
		}
		f.wrong(why.mend, "%s: %s: %s", listed(byCause[why]), why.reason, sentence(why.message))
	}
	c.checkAnnotations(f)
	for _, s := range c.Services {
		if s.PreferNode != "" && len(c.Nodes) > 0 && c.node(s.PreferNode) == nil {
			f.remark("kubectl lanlord move "+s.Key.String()+" --back", "%s asks to be announced by %s, which is no node", s.Key, s.PreferNode)
		}
	}
	text := Count(len(c.Services), "Service") + ", each with its addresses assigned"
	if len(c.Services) == 1 {
		text = "1 Service, with its addresses assigned"
	}
	switch n := len(c.Foreign); {
	case n == 1:
		text += "; 1 more is of another load-balancer class"
	case n > 1:
		text += fmt.Sprintf("; %d more are of another load-balancer class", n)
	}
	return text
}

// checkAnnotations looks for annotations of Services that have no effect. Services with the same problem share a
// finding.
func (c *Cluster) checkAnnotations(f *findings) {
	byProblem := map[string][]string{}
	for i := range c.Services {
		if s := &c.Services[i]; s.PreferNodeProblem != "" {
			byProblem[s.PreferNodeProblem] = append(byProblem[s.PreferNodeProblem], s.Key.String())
		}
	}
	for _, problem := range slices.Sorted(keysOf(byProblem)) {
		f.remark("correct the annotation, or remove it", "%s: %s", listed(byProblem[problem]), sentence(problem))
	}
}

// checkOwners looks for addresses for which no node or several nodes answer.
func checkOwners(c *Cluster, f *findings) string {
	v := newView(c)
	if !v.asked {
		f.unchecked("no speaker could be asked which addresses it answers for")
		return ""
	}
	type cause struct{ state, detail string }
	byCause := map[cause][]string{}
	addrs := make([]netip.Addr, 0, len(v.holders))
	for a := range v.holders {
		if !c.routed(a) {
			addrs = append(addrs, a)
		}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	announced := 0
	for _, a := range addrs {
		if !v.onLayer2(a) {
			continue
		}
		state, detail := v.answered(v.facts(a))
		if isWell(state) {
			announced++
			continue
		}
		why := cause{state, detail}
		byCause[why] = append(byCause[why], fmt.Sprintf("%s (%s)", a, v.holders[a][0]))
	}
	causes := make([]cause, 0, len(byCause))
	for why := range byCause {
		causes = append(causes, why)
	}
	slices.SortFunc(causes, func(x, y cause) int { return cmp.Or(cmp.Compare(x.state, y.state), cmp.Compare(x.detail, y.detail)) })
	for _, why := range causes {
		list := listed(byCause[why])
		switch why.state {
		case stateDisputed:
			f.wrong(mendHere(why.state), "%s: %s", list, why.detail)
		case stateUnknown:
			f.unchecked("%s: %s", list, why.detail)
		default:
			f.wrong(mendHere(why.state), "nobody answers for %s: %s: %s", list, why.state, why.detail)
		}
	}
	if announced == 1 {
		return "1 address, answered for by one node"
	}
	return fmt.Sprintf("%d addresses, each answered for by one node", announced)
}

// checkStrangers looks for foreign hosts that have addresses of the pools.
func checkStrangers(c *Cluster, f *findings) string {
	byAddr := map[netip.Addr][]cluster.Stranger{}
	for _, s := range c.strangers() {
		byAddr[s.Addr] = append(byAddr[s.Addr], s)
	}
	addrs := make([]netip.Addr, 0, len(byAddr))
	for a := range byAddr {
		addrs = append(addrs, a)
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	holders := holdersOf(c)
	for _, a := range addrs {
		var macs []string
		quarantine := false
		for _, s := range byAddr[a] {
			macs = append(macs, s.MAC)
			quarantine = quarantine || s.Quarantine
		}
		mend := fmt.Sprintf("give that host another address, or leave %s out of the pool with exclude", a)
		who := listed(slices.Compact(macs))
		switch keys := holders[a]; {
		case len(keys) > 0:
			f.wrong(mend, "the host %s, which is no node, answers for %s of %s too, so clients may reach it instead", who, a, keys[0])
		case quarantine:
			f.wrong(mend, "the host %s, which is no node, has %s, so no Service gets that address", who, a)
		default:
			f.remark(mend, "the host %s, which is no node, answers for %s", who, a)
		}
	}
	return "no other host answers for an address of a Service"
}
