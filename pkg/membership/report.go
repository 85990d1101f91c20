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
	// Since is the time when the node became ready, in whole seconds; zero while the node is not ready.
	Since time.Time
	// Configured is true when the node has a valid configuration.
	Configured bool
	// Links lists the interfaces from which the node announces addresses. SetState and Fit take the links in the order
	// of their importance, the most important link first, and return the links sorted by name.
	Links []Link
	// MACs lists further MAC addresses of the node: the addresses of links that are not in Links, and of the slaves of
	// bonds. The most important address comes first.
	MACs []MAC
}

// Fit returns the part of r that the other members see. SetState applies Fit to the report of this node too, so a node
// and its peers decide from the same values. Fit returns the zero Report for a report that no member can read.
func Fit(r Report) Report {
	fitted, _ := fit(r)
	seen, err := parseMeta(encodeMeta(fitted))
	if err != nil {
		return Report{}
	}
	return seen
}

// Equal reports whether r and o are the same.
func (r Report) Equal(o Report) bool {
	return r.State == o.State && r.Since.Equal(o.Since) && r.Configured == o.Configured &&
		slices.EqualFunc(r.Links, o.Links, Link.Equal) && slices.Equal(r.MACs, o.MACs)
}

// minMACs is the number of MAC addresses that stay in the metadata while links are left out for lack of space.
const minMACs = 8

// leftOut describes the parts of a report that the metadata does not contain.
type leftOut struct {
	// counts holds the numbers of the parts that do not fit into the metadata.
	counts leftOutCounts
	// problems names the links that cannot be announced, with the reasons.
	problems string
}

// leftOutCounts holds numbers of parts of a report.
type leftOutCounts struct{ macs, subnets, links int }

// fit returns r in the form of the metadata: the links are valid and sorted by name, and the metadata takes at most
// metaLimit bytes. fit first leaves out the MAC addresses after minMACs, then the subnets of the least important link
// and the link itself, then the next least important link in the same way. The state, Since and Configured always fit.
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
			// Peers must recognize the node by the MAC address of a link even after the link has been left out.
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

// announceable returns canonical copies of the links that can be announced, in the given order, and a text for each
// other link. Of two links with the same name, only the first link can be announced.
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

// otherMACs returns the addresses in macs that belong to none of the links, in the given order without duplicates.
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
