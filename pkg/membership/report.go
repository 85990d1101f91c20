package membership

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Report describes a node to the other members.
type Report struct {
	State State
	// Since is the time at which the node became ready, to the second; zero while the node is not ready.
	Since time.Time
	// Configured is true when the node has a valid configuration.
	Configured bool
	// Links are the interfaces from which the node announces addresses. SetState and Fit take them in the order of
	// their importance, the most important one first, and return them sorted by name.
	Links []Link
	// MACs are further MAC addresses of the node: those of links that are not in Links, and of the slaves of bonds. The
	// most important one comes first.
	MACs []MAC
}

// Fit returns the part of r that the other members see. SetState applies it to the report of this node too, so a node
// and its peers decide from the same values. A report that no member can read comes back as the zero Report.
func Fit(r Report) Report {
	fitted, _ := fit(r)
	seen, err := parseMeta(encodeMeta(fitted))
	if err != nil {
		return Report{}
	}
	return seen
}

// Equal reports whether r and o say the same.
func (r Report) Equal(o Report) bool {
	return r.State == o.State && r.Since.Equal(o.Since) && r.Configured == o.Configured &&
		slices.EqualFunc(r.Links, o.Links, Link.Equal) && slices.Equal(r.MACs, o.MACs)
}

// minMACs is the number of MAC addresses that stay in the metadata while links are left out for lack of room.
const minMACs = 8

// leftOut says which parts of a report the metadata does not contain.
type leftOut struct {
	// counts are the numbers of the parts that the metadata has no room for.
	counts leftOutCounts
	// problems names the links that cannot be announced, and says why.
	problems string
}

// leftOutCounts are numbers of parts of a report.
type leftOutCounts struct{ macs, subnets, links int }

// fit returns r as it is written to the metadata: its links are valid and sorted by name, and all of it takes metaLimit
// bytes at most. fit leaves out first the MAC addresses after minMACs, then the subnets of the least important link
// and the link itself, then those of the link before it. The state, Since and Configured always fit.
func fit(r Report) (Report, leftOut) {
	all, problems := announceable(r.Links)
	out := leftOut{problems: strings.Join(problems, "; ")}
	usable := slices.DeleteFunc(slices.Clone(r.MACs), func(m MAC) bool { return m.problem() != nil })
	fitted := Report{
		State: r.State, Since: announcedTime(r.Since), Configured: r.Configured,
		Links: slices.Clone(all), MACs: otherMACs(usable, all),
	}
	for fitted.size() > metaLimit {
		last := len(fitted.Links) - 1
		switch {
		case len(fitted.MACs) > minMACs:
			fitted.MACs = fitted.MACs[:len(fitted.MACs)-1]
		case len(fitted.Links[last].Subnets) > 0:
			link := &fitted.Links[last]
			link.Subnets = link.Subnets[:len(link.Subnets)-1]
		default:
			// Peers recognize the node by the MAC address of a link also after the link has been left out.
			fitted.Links = fitted.Links[:last]
			macs := otherMACs(usable, fitted.Links)
			fitted.MACs = macs[:min(len(macs), minMACs)]
		}
	}
	out.counts = leftOutCounts{
		macs:    len(otherMACs(usable, fitted.Links)) - len(fitted.MACs),
		subnets: countSubnets(all) - countSubnets(fitted.Links),
		links:   len(all) - len(fitted.Links),
	}
	slices.SortFunc(fitted.Links, func(a, b Link) int { return cmp.Compare(a.Name, b.Name) })
	return fitted, out
}

// announceable returns canonical copies of the links that can be announced, in the given order, and a text for each of
// the others. Of two links with one name the first one is announced.
func announceable(links []Link) (usable []Link, problems []string) {
	names := make(map[string]struct{}, len(links))
	for _, l := range links {
		l, err := l.canonical()
		if _, twice := names[l.Name]; err == nil && twice {
			err = fmt.Errorf("two links are named %s", l.Name)
		}
		if err != nil {
			problems = append(problems, fmt.Sprintf("link %q: %v", l.Name, err))
			continue
		}
		names[l.Name] = struct{}{}
		usable = append(usable, l)
	}
	return usable, problems
}

// otherMACs returns those of macs that no link has, each once, in the given order.
func otherMACs(macs []MAC, links []Link) []MAC {
	var others []MAC
	for _, mac := range macs {
		if !slices.Contains(others, mac) && !slices.ContainsFunc(links, func(l Link) bool { return l.MAC == mac }) {
			others = append(others, mac)
		}
	}
	return others
}

func countSubnets(links []Link) (n int) {
	for _, l := range links {
		n += len(l.Subnets)
	}
	return n
}
