package metallb

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/lanlord/lanlord/pkg/config"
)

// nowhere is a label that no node has, for pools that no node is to announce.
const nowhere = "lanlord.io/announced-nowhere"

// Result is what became of MetalLB's resources.
type Result struct {
	// Manifest is a ConfigMap in YAML, with Notes as comments above. Lanlord accepts it.
	Manifest []byte
	// Notes say in one line each what has no counterpart, and what became of it.
	Notes []string
}

// Convert returns the ConfigMap of this namespace and name that means the same as MetalLB's resources in data: YAML or JSON as
// kubectl get prints it, several documents, Lists. The error names all objects that Lanlord would refuse.
func Convert(data []byte, namespace, name string) (*Result, error) {
	r, err := read(data)
	if err != nil {
		return nil, err
	}
	if len(r.pools) == 0 {
		r.note("there is no IPAddressPool, so no Service gets an address")
	}
	doc := document{Pools: []poolEntry{}}
	for i := range r.pools {
		doc.Pools = append(doc.Pools, r.convert(&r.pools[i]))
	}
	doc.Communities, doc.Profiles, doc.Peers = r.aliases(), r.profileEntries(), r.peerEntries()
	r.tellOfAdvertisements()
	var text bytes.Buffer
	if err := encode(&text, doc); err != nil {
		return nil, err
	}
	accepted, err := config.Parse(text.Bytes())
	if err != nil {
		return nil, doc.inObjects(err)
	}
	for _, w := range accepted.Warnings {
		where, _ := doc.object(w)
		r.note("%s: %s", where, lineOfPool.ReplaceAllString(w.Message, ""))
	}
	out, err := manifest(namespace, name, text.Bytes(), r.notes)
	if err != nil {
		return nil, err
	}
	// To the letter: what is written must be read as what was meant.
	if _, err := config.Read(out); err != nil {
		return nil, fmt.Errorf("the configuration cannot be written as YAML: %w", err)
	}
	return &Result{Manifest: out, Notes: r.notes}, nil
}

var (
	// entryPath is the path of an entry of one of the lists of the document, and what follows.
	entryPath = regexp.MustCompile(`^([a-z-]+)\[(\d+)\]\.?(.*)$`)
	// Lines are those of the document, which nobody has seen.
	lineOfPool = regexp.MustCompile(` \(line \d+\)| on line \d+`)
)

// object names the object that became the entry with the problem, and the key in the entry.
func (d *document) object(p config.Problem) (name, key string) {
	m := entryPath.FindStringSubmatch(p.Path)
	if m == nil {
		if alias, ok := strings.CutPrefix(p.Path, "bgp-communities."); ok {
			return "Community " + alias, ""
		}
		return "", p.Path
	}
	i, err := strconv.Atoi(m[2])
	switch {
	case err != nil:
	case m[1] == "peers" && i < len(d.Peers):
		return "BGPPeer " + d.Peers[i].Name, m[3]
	case m[1] == "bfd-profiles" && i < len(d.Profiles):
		return "BFDProfile " + d.Profiles[i].Name, m[3]
	}
	return "IPAddressPool " + p.Pool, m[3]
}

// inObjects names the objects in place of the lines of the document.
func (d *document) inObjects(err error) error {
	problems, ok := errors.AsType[*config.Problems](err)
	if !ok {
		return err
	}
	var all []error
	for _, p := range problems.List {
		where, key := d.object(p)
		if key != "" {
			where = strings.TrimPrefix(where+": "+key, ": ")
		}
		all = append(all, fmt.Errorf("%s: %s", oneLine(where), lineOfPool.ReplaceAllString(oneLine(p.Message), "")))
	}
	return errors.Join(all...)
}

func (r *resources) convert(p *pool) poolEntry {
	e := poolEntry{Name: p.Metadata.Name, Protocol: "layer2", Addresses: p.spec.Addresses, AvoidBuggyIPs: p.spec.AvoidBuggyIPs}
	if p.spec.AutoAssign != nil && !*p.spec.AutoAssign {
		e.AutoAssign = p.spec.AutoAssign
	}
	if to := p.spec.ServiceAllocation; to != nil {
		e.Priority, e.Namespaces = to.Priority, to.Namespaces
		e.NamespaceSelectors, e.ServiceSelectors = entries(to.NamespaceSelectors), entries(to.ServiceSelectors)
		if e.Priority == 0 && len(e.Namespaces)+len(e.NamespaceSelectors)+len(e.ServiceSelectors) == 0 {
			r.note("%s: serviceAllocation is empty; MetalLB takes addresses from such a pool before others, Lanlord by name: write a priority", p)
		}
	}
	if p.Kind == "AddressPool" {
		r.announceOld(p, &e)
	} else {
		r.announce(p, &e)
	}
	if len(e.Advertisements) == 1 && reflect.DeepEqual(e.Advertisements[0], bgpEntry{}) {
		e.Advertisements = nil // the default
	}
	return e
}

// announceOld is for an AddressPool, which needs no advertisement.
func (r *resources) announceOld(p *pool, e *poolEntry) {
	if p.spec.Protocol != "" {
		e.Protocol = p.spec.Protocol
	}
	for i := range p.spec.BGPAdvertisements {
		e.add(p.spec.BGPAdvertisements[i].entry())
	}
}
