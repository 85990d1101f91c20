package metallb

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
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
	r.tellOfAdvertisements()
	r.tellOfBGP()
	var text bytes.Buffer
	if err := encode(&text, doc); err != nil {
		return nil, err
	}
	accepted, err := config.Parse(text.Bytes())
	if err != nil {
		return nil, inObjects(err)
	}
	for _, w := range accepted.Warnings {
		if !strings.HasSuffix(w.Path, ".protocol") { // told in other words
			r.note("IPAddressPool %s: %s", w.Pool, w.Message)
		}
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
	poolPath = regexp.MustCompile(`^address-pools\[\d+\]\.?`)
	// Lines are those of the document, which nobody has seen.
	lineOfPool = regexp.MustCompile(` \(line \d+\)| on line \d+`)
)

// inObjects names the objects in place of the lines of the document.
func inObjects(err error) error {
	problems, ok := errors.AsType[*config.Problems](err)
	if !ok {
		return err
	}
	var all []error
	for _, p := range problems.List {
		where := "IPAddressPool " + p.Pool
		if path := poolPath.ReplaceAllString(p.Path, ""); path != "" {
			where += ": " + path
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
	return e
}

// announceOld is for an AddressPool, which needs no advertisement.
func (r *resources) announceOld(p *pool, e *poolEntry) {
	if p.spec.Protocol != "" {
		e.Protocol = p.spec.Protocol
	}
	if e.Protocol == "bgp" {
		r.setAside(p)
	}
	if p.spec.BGPAdvertisements.Kind != 0 {
		r.note("%s: bgpAdvertisements is left out, Lanlord does not speak BGP", p)
	}
}

func (r *resources) setAside(p *pool) {
	r.note("%s: it is announced by BGP alone, which Lanlord does not speak; the pool is kept with protocol bgp, and set aside: "+
		"its Services lose their addresses", p)
}

// tellOfBGP names what is about BGP and nothing else.
func (r *resources) tellOfBGP() {
	for i := range r.bgp {
		r.note("%s: left out, Lanlord does not speak BGP", &r.bgp[i])
	}
	for i := range r.others {
		r.note("%s: left out, Lanlord does not speak BGP", &r.others[i])
	}
}
