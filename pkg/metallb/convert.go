package metallb

import (
	"fmt"

	"github.com/lanlord/lanlord/pkg/config"
)

// nowhere is a label that no node has, for pools that no node should announce.
const nowhere = "lanlord.io/announced-nowhere"

// Result is the result of a conversion.
type Result struct {
	// Manifest is a ConfigMap in YAML, with Notes as comments above. Lanlord accepts Manifest.
	Manifest []byte
	// Notes name in one line each a feature without a counterpart, and the result.
	Notes []string
}

// Convert returns a ConfigMap with the given namespace and name that means the same as MetalLB's resources in data.
// data is YAML or JSON in the output format of kubectl get, with several documents or Lists. The error names all
// objects that Lanlord would refuse.
func Convert(data []byte, namespace, name string) (*Result, error) {
	r, err := read(data)
	if err != nil {
		return nil, err
	}
	if len(r.pools) == 0 {
		r.note("there is no IPAddressPool, so no Service gets an address")
	}
	text, _, err := r.document("")
	if err != nil {
		return nil, err
	}
	out, err := manifest(namespace, name, []byte(text), r.notes)
	if err != nil {
		return nil, err
	}
	// Reading the written YAML must give exactly the intended configuration.
	if _, err := config.Read(out); err != nil {
		return nil, fmt.Errorf("the configuration cannot be written as YAML: %w", err)
	}
	return &Result{Manifest: out, Notes: r.notes}, nil
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
	if len(e.Advertisements) == 1 && e.Advertisements[0].same(bgpEntry{}) {
		e.Advertisements = nil // the default
	}
	return e
}

// announceOld converts an AddressPool. An AddressPool needs no advertisement.
func (r *resources) announceOld(p *pool, e *poolEntry) {
	if p.spec.Protocol != "" {
		e.Protocol = p.spec.Protocol
	}
	for i := range p.spec.BGPAdvertisements {
		e.add(p.spec.BGPAdvertisements[i].entry())
	}
}
