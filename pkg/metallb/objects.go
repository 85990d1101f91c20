package metallb

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// group is the API group of MetalLB's resources.
const group = "metallb.io/"

// object is one resource in the input.
type object struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct {
		Name      string
		Namespace string
		Labels    map[string]string
	}
	Spec  yaml.Node
	Items []yaml.Node

	line int
}

// String returns the kind and the name, as a user would write them.
func (o *object) String() string { return o.Kind + " " + o.Metadata.Name }

// labelSelector is metav1.LabelSelector. An empty labelSelector matches everything.
type labelSelector struct {
	MatchLabels      map[string]string `yaml:"matchLabels"`
	MatchExpressions []struct {
		Key      string
		Operator string
		Values   []string
	} `yaml:"matchExpressions"`
}

// poolSpec is the spec of an IPAddressPool, and of an AddressPool, the former kind that v0.13 still has.
type poolSpec struct {
	Addresses         []string
	AutoAssign        *bool `yaml:"autoAssign"`
	AvoidBuggyIPs     bool  `yaml:"avoidBuggyIPs"`
	ServiceAllocation *struct {
		Priority           int
		Namespaces         []string
		NamespaceSelectors []labelSelector `yaml:"namespaceSelectors"`
		ServiceSelectors   []labelSelector `yaml:"serviceSelectors"`
	} `yaml:"serviceAllocation"`
	// Only an AddressPool has Protocol and BGPAdvertisements.
	Protocol          string
	BGPAdvertisements []routeSpec `yaml:"bgpAdvertisements"`
}

// advertisementSpec is the spec of an L2Advertisement, and the common part of the spec of a BGPAdvertisement.
type advertisementSpec struct {
	IPAddressPools         []string        `yaml:"ipAddressPools"`
	IPAddressPoolSelectors []labelSelector `yaml:"ipAddressPoolSelectors"`
	NodeSelectors          []labelSelector `yaml:"nodeSelectors"`
	ServiceSelectors       []labelSelector `yaml:"serviceSelectors"`
	Interfaces             []string
	PreferredNodeSelectors []struct {
		Weight     int
		Preference labelSelector
	} `yaml:"preferredNodeSelectors"`
}

type pool struct {
	object
	spec poolSpec
}

type advertisement struct {
	object
	spec advertisementSpec
	// route belongs to a BGPAdvertisement.
	route routeSpec
}

// resources holds the objects of one file, each kind in the order of the file.
type resources struct {
	pools []pool
	layer2,
	bgp []advertisement
	peers       []peer
	profiles    []profile
	communities []community
	notes       []string
	// live is true for the resources of ConvertObjects. Their Secrets are in the same namespace.
	live bool
}

// read reads documents in YAML or JSON. Each document is an object or a List of objects.
func read(data []byte) (*resources, error) {
	r := &resources{}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var node yaml.Node
		err := decoder.Decode(&node)
		if errors.Is(err, io.EOF) {
			return r, r.check()
		}
		if err != nil {
			return nil, fmt.Errorf("not valid YAML: %w", err)
		}
		if err := r.add(&node); err != nil {
			return nil, err
		}
	}
}

// add adds one document, or an item of a list.
func (r *resources) add(node *yaml.Node) error {
	o := object{line: node.Line}
	if node.Kind == yaml.DocumentNode && len(node.Content) == 1 {
		node = node.Content[0]
		o.line = node.Line
	}
	if node.Kind == yaml.ScalarNode && node.Tag == "!!null" {
		return nil // an empty document
	}
	if node.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: here should be an object of Kubernetes, as kubectl get -o yaml prints it", o.line)
	}
	if err := node.Decode(&o); err != nil {
		return fmt.Errorf("line %d: no object of Kubernetes: %w", o.line, err)
	}
	switch {
	case o.Kind == "List" || strings.HasSuffix(o.Kind, "List") && strings.HasPrefix(o.APIVersion, group):
		for i := range o.Items {
			if err := r.add(&o.Items[i]); err != nil {
				return err
			}
		}
		return nil
	case o.Kind == "" || o.APIVersion == "":
		return fmt.Errorf("line %d: the object has no kind or no apiVersion; give what kubectl get -o yaml prints", o.line)
	case o.APIVersion != group+"v1beta1" && o.APIVersion != group+"v1beta2":
		r.note("%s of %s on line %d: left out, it is not one of metallb.io/v1beta1 or v1beta2", o.Kind, o.APIVersion, o.line)
		return nil
	case o.Metadata.Name == "":
		return fmt.Errorf("line %d: the %s has no metadata.name", o.line, o.Kind)
	}
	return r.sort(o)
}

func (r *resources) sort(o object) error {
	switch o.Kind {
	case "IPAddressPool", "AddressPool":
		p := pool{object: o}
		r.pools = append(r.pools, p)
		return r.spec(&o, &r.pools[len(r.pools)-1].spec)
	case "L2Advertisement":
		r.layer2 = append(r.layer2, advertisement{object: o})
		return r.spec(&o, &r.layer2[len(r.layer2)-1].spec)
	case "BGPAdvertisement":
		a := advertisement{object: o}
		both := struct {
			advertisementSpec `yaml:",inline"`
			routeSpec         `yaml:",inline"`
		}{}
		if err := r.spec(&o, &both); err != nil {
			return err
		}
		a.spec, a.route = both.advertisementSpec, both.routeSpec
		r.bgp = append(r.bgp, a)
	case "BGPPeer":
		r.peers = append(r.peers, peer{object: o})
		return r.spec(&o, &r.peers[len(r.peers)-1].spec)
	case "Community":
		r.communities = append(r.communities, community{object: o})
		return r.spec(&o, &r.communities[len(r.communities)-1].spec)
	case "BFDProfile":
		r.profiles = append(r.profiles, profile{object: o})
		return r.spec(&o, &r.profiles[len(r.profiles)-1].spec)
	case "ServiceL2Status", "ServiceBGPStatus", "ConfigurationState":
		// MetalLB writes these kinds to report its state. They configure nothing.
	default:
		r.note("%s: left out, the kind is not known", &o)
	}
	return nil
}

// spec decodes the spec of o into to. Unknown keys give notes, because a newer version may have added the keys.
func (r *resources) spec(o *object, to any) error {
	if o.Spec.Kind == 0 {
		return nil
	}
	if err := o.Spec.Decode(to); err != nil {
		return o.problem(err)
	}
	strict := yaml.NewDecoder(bytes.NewReader(encoded(&o.Spec)))
	strict.KnownFields(true)
	var unknown *yaml.TypeError
	if err := strict.Decode(to); errors.As(err, &unknown) {
		for _, text := range unknown.Errors {
			if _, key, ok := strings.Cut(text, ": field "); ok {
				key, _, _ = strings.Cut(key, " ")
				r.note("%s: the key %s is not known, and left out", o, key)
			}
		}
	}
	return nil
}

// encoded encodes a node again. The node was decoded before, so the encoding cannot fail.
func encoded(node *yaml.Node) []byte {
	text, err := yaml.Marshal(node)
	if err != nil {
		return nil
	}
	return text
}

func (o *object) problem(err error) error {
	message := err.Error()
	if unread, ok := errors.AsType[*yaml.TypeError](err); ok {
		message = strings.Join(unread.Errors, "; ")
	}
	return &Problems{List: []Problem{{o.Kind, o.Metadata.Name, oneLine(message)}}}
}

// check returns an error if the objects cannot be the configuration of one MetalLB.
func (r *resources) check() error {
	var namespaces []string
	see := func(o *object) {
		if n := o.Metadata.Namespace; n != "" && !slices.Contains(namespaces, n) {
			namespaces = append(namespaces, n)
		}
	}
	for i := range r.pools {
		see(&r.pools[i].object)
	}
	for i := range r.layer2 {
		see(&r.layer2[i].object)
	}
	for i := range r.bgp {
		see(&r.bgp[i].object)
	}
	for i := range r.peers {
		see(&r.peers[i].object)
	}
	for i := range r.profiles {
		see(&r.profiles[i].object)
	}
	for i := range r.communities {
		see(&r.communities[i].object)
	}
	if len(namespaces) > 1 {
		slices.Sort(namespaces)
		return fmt.Errorf("there are objects of the namespaces %s, and MetalLB heeds those of its own alone; give these", strings.Join(namespaces, " and "))
	}
	return nil
}

func (r *resources) note(format string, args ...any) {
	r.notes = append(r.notes, oneLine(fmt.Sprintf(format, args...)))
}

// oneLine keeps a note on one line, even if a name has line breaks.
func oneLine(text string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c == 0x85 || c == 0x2028 || c == 0x2029 {
			return ' '
		}
		return c
	}, text)
}
