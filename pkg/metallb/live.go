package metallb

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/lanlord/lanlord/pkg/config"
)

// Kind is a kind of resource that contributes to the configuration.
type Kind struct {
	// Name is the kind, like "BGPPeer". Plural is the name of the kind in paths and access rights, like "bgppeers".
	Name, Plural string
	// Version is the version of the API group metallb.io with the most fields of the kind.
	Version string
	// Optional is true for a kind that some MetalLB releases from v0.13 on lack. If the CustomResourceDefinition of an
	// optional kind is missing, there are no resources of the kind. If the definition of another kind is missing, the
	// set is not known.
	Optional bool
}

// Definition returns the name of the CustomResourceDefinition, like "bgppeers.metallb.io".
func (k Kind) Definition() string { return k.Plural + "." + strings.TrimSuffix(group, "/") }

// Object returns a resource of the kind in the form that [ConvertObjects] reads: JSON with the relevant metadata only.
// Resources with the same meaning give equal texts. Object returns an error for a spec that is not JSON.
func (k Kind) Object(name, namespace string, labels map[string]string, spec []byte) ([]byte, error) {
	var o struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Metadata   struct {
			Name      string            `json:"name"`
			Namespace string            `json:"namespace,omitempty"`
			Labels    map[string]string `json:"labels,omitempty"`
		} `json:"metadata"`
		Spec json.RawMessage `json:"spec,omitempty"`
	}
	o.APIVersion, o.Kind, o.Spec = group+k.Version, k.Name, spec
	o.Metadata.Name, o.Metadata.Namespace, o.Metadata.Labels = name, namespace, labels
	return json.Marshal(o)
}

// Kinds returns all kinds that contribute to the configuration.
func Kinds() []Kind {
	return []Kind{
		{Name: "IPAddressPool", Plural: "ipaddresspools", Version: "v1beta1"},
		{Name: "L2Advertisement", Plural: "l2advertisements", Version: "v1beta1"},
		{Name: "BGPAdvertisement", Plural: "bgpadvertisements", Version: "v1beta1"},
		{Name: "BGPPeer", Plural: "bgppeers", Version: "v1beta2"},
		{Name: "Community", Plural: "communities", Version: "v1beta1"},
		{Name: "BFDProfile", Plural: "bfdprofiles", Version: "v1beta1"},
		// Only MetalLB v0.13 has AddressPool.
		{Name: "AddressPool", Plural: "addresspools", Version: "v1beta1", Optional: true},
	}
}

// liveHead begins every document of [ConvertObjects].
const liveHead = "# Made of MetalLB's resources in the namespace "

// IsLive reports whether [ConvertObjects] made text.
func IsLive(text string) bool { return strings.HasPrefix(text, liveHead) }

// Configuration is the configuration from a set of resources.
type Configuration struct {
	// Text is the document. The same resources give the same text in any order.
	Text string
	// Config is the parsed document. Each of its Warnings names in one line a feature without a counterpart, and the
	// result.
	Config *config.Config
}

// ConvertObjects returns the configuration of all resources of a namespace. Each object is one resource in JSON, with
// apiVersion, kind, metadata and spec. If a resource has an error, ConvertObjects refuses the whole set: the error is a
// *[Problems] with all errors.
//
// ConvertObjects also refuses a set without a pool, and a set of IPAddressPools without any advertisement, because
// Lanlord would announce no address. Most often such a set is temporary: somebody is deleting a
// CustomResourceDefinition, or is applying one file after the other.
func ConvertObjects(namespace string, objects [][]byte) (*Configuration, error) {
	r := &resources{live: true}
	if err := r.readObjects(objects); err != nil {
		return nil, err
	}
	if err := r.checkSet(namespace); err != nil {
		return nil, err
	}
	text, accepted, err := r.document(liveHead + namespace + ".\n")
	if err != nil {
		return nil, err
	}
	accepted.Warnings = nil
	for _, note := range r.notes {
		accepted.Warnings = append(accepted.Warnings, config.Problem{Message: note})
	}
	return &Configuration{Text: text, Config: accepted}, nil
}

// readObjects reads all resources, in the order of their kinds and names.
func (r *resources) readObjects(objects [][]byte) error {
	var all []object
	problems := &Problems{}
	for _, text := range objects {
		var o object
		if err := yaml.Unmarshal(text, &o); err != nil {
			problems.gather(&o, fmt.Errorf("not an object of Kubernetes: %w", err))
			continue
		}
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b object) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Metadata.Name, b.Metadata.Name))
	})
	for i := range all {
		if err := r.sort(all[i]); err != nil {
			problems.gather(&all[i], err)
		}
	}
	if len(problems.List) == 0 {
		return nil
	}
	for i := range problems.List {
		p := &problems.List[i]
		p.Message = strings.ReplaceAll(p.Message, "line 1: ", "") // each resource is one line of JSON
	}
	return problems.sorted()
}

// checkSet returns an error for a set that would announce no address.
func (r *resources) checkSet(namespace string) error {
	if len(r.pools) == 0 {
		return ofSet("there is no IPAddressPool in the namespace %s: create one; to withdraw all addresses, delete the "+
			"Services or change their type", namespace)
	}
	old := slices.ContainsFunc(r.pools, func(p pool) bool { return p.Kind == "AddressPool" })
	if len(r.layer2)+len(r.bgp) == 0 && !old {
		return ofSet("there is neither an L2Advertisement nor a BGPAdvertisement in the namespace %s, so no address would be "+
			"announced: create one", namespace)
	}
	return nil
}

// document returns the text of the configuration below head, and the parsed configuration.
func (r *resources) document(head string) (string, *config.Config, error) {
	doc := document{Pools: []poolEntry{}}
	for i := range r.pools {
		doc.Pools = append(doc.Pools, r.convert(&r.pools[i]))
	}
	doc.Communities, doc.Profiles, doc.Peers = r.aliases(), r.profileEntries(), r.peerEntries()
	r.tellOfAdvertisements()
	text := bytes.NewBufferString(head)
	if err := encode(text, doc); err != nil {
		return "", nil, err
	}
	accepted, err := config.Parse(text.Bytes())
	if err != nil {
		return "", nil, r.inObjects(&doc, err)
	}
	for _, w := range accepted.Warnings {
		from := r.originOf(&doc, w)
		r.note("%s", Problem{from.kind, from.name, lineOfPool.ReplaceAllString(w.Message, "")})
	}
	return text.String(), accepted, nil
}
