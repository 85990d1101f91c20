package metallb

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/lanlord/lanlord/pkg/config"
)

// Problem describes one error in a resource, or in the set of all resources.
type Problem struct {
	// Kind and Name are the kind and the name of the resource. Both are empty for a problem of the set.
	Kind, Name string
	// Message names the field, the error and the valid values. Message has no line break.
	Message string
}

// String returns the problem in one line, with the resource in front.
func (p Problem) String() string {
	if p.Kind == "" {
		return p.Message
	}
	return oneLine(p.Kind+" "+p.Name) + ": " + p.Message
}

// Problems is the error for refused resources. Problems holds all errors in the resources.
type Problems struct {
	// List is never empty.
	List []Problem
}

// Error returns the problems, one on a line.
func (p *Problems) Error() string {
	lines := make([]string, len(p.List))
	for i, problem := range p.List {
		lines[i] = problem.String()
	}
	return strings.Join(lines, "\n")
}

var (
	// entryPath matches the path of an entry in one of the lists of the document, and the rest of the path.
	entryPath = regexp.MustCompile(`^([a-z-]+)\[(\d+)\]\.?(.*)$`)
	// lineOfPool matches a line number of the document. Users never see the document, so the number would mean nothing.
	lineOfPool = regexp.MustCompile(` \(line \d+\)| on line \d+`)
)

// origin names the resource of an entry in the document, and the field of the resource.
type origin struct{ kind, name, field string }

// originOf returns the resource of the entry with the problem. The kind is empty if there is no such resource.
func (r *resources) originOf(d *document, p config.Problem) origin {
	m := entryPath.FindStringSubmatch(p.Path)
	if m == nil {
		if alias, ok := strings.CutPrefix(p.Path, "bgp-communities."); ok {
			return origin{"Community", r.communityOf(alias), "communities: " + alias}
		}
		return origin{field: p.Path}
	}
	i, err := strconv.Atoi(m[2])
	switch {
	case err != nil:
	case m[1] == "peers" && i < len(d.Peers):
		return origin{"BGPPeer", d.Peers[i].Name, field(m[3])}
	case m[1] == "bfd-profiles" && i < len(d.Profiles):
		return origin{"BFDProfile", d.Profiles[i].Name, field(m[3])}
	case m[1] == "address-pools" && i < len(r.pools):
		return r.ofPool(d, i, m[3])
	}
	return origin{"IPAddressPool", p.Pool, m[3]}
}

// communityOf returns the name of the first Community with the alias.
func (r *resources) communityOf(alias string) string {
	for i := range r.communities {
		for _, c := range r.communities[i].spec.Communities {
			if c.Name == alias {
				return r.communities[i].Metadata.Name
			}
		}
	}
	return alias
}

// inObjects replaces the lines of the document in err by the names of the resources.
func (r *resources) inObjects(d *document, err error) error {
	problems, ok := errors.AsType[*config.Problems](err)
	if !ok {
		return err
	}
	all := &Problems{}
	for _, p := range problems.List {
		from := r.originOf(d, p)
		message := lineOfPool.ReplaceAllString(oneLine(p.Message), "")
		if from.field != "" {
			message = oneLine(from.field) + ": " + message
		}
		all.List = append(all.List, Problem{from.kind, from.name, message})
	}
	return all
}

// gather adds an error of one resource. The error may be a list of problems.
func (p *Problems) gather(o *object, err error) {
	if list, ok := errors.AsType[*Problems](err); ok {
		p.List = append(p.List, list.List...)
		return
	}
	p.List = append(p.List, Problem{o.Kind, o.Metadata.Name, oneLine(err.Error())})
}

// sorted sorts the problems by kind and name, so that the same resources give the same error.
func (p *Problems) sorted() *Problems {
	slices.SortStableFunc(p.List, func(a, b Problem) int {
		return strings.Compare(a.Kind+" "+a.Name, b.Kind+" "+b.Name)
	})
	return p
}

// ofSet returns a problem of the set of all resources.
func ofSet(format string, args ...any) *Problems {
	return &Problems{List: []Problem{{Message: oneLine(fmt.Sprintf(format, args...))}}}
}
