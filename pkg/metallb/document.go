package metallb

import (
	"bytes"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The types below describe the document. The keys have the order of deploy/config.example.yaml.

type document struct {
	Pools       []poolEntry       `yaml:"address-pools"`
	Communities map[string]string `yaml:"bgp-communities,omitempty"`
	Profiles    []profileEntry    `yaml:"bfd-profiles,omitempty"`
	Peers       []peerEntry       `yaml:"peers,omitempty"`
}

type poolEntry struct {
	Name               string          `yaml:"name"`
	Protocol           string          `yaml:"protocol,omitempty"`
	Protocols          []string        `yaml:"protocols,omitempty,flow"`
	Addresses          []string        `yaml:"addresses"`
	Priority           int             `yaml:"priority,omitempty"`
	AutoAssign         *bool           `yaml:"auto-assign,omitempty"`
	AvoidBuggyIPs      bool            `yaml:"avoid-buggy-ips,omitempty"`
	Namespaces         []string        `yaml:"namespaces,omitempty"`
	NamespaceSelectors []selectorEntry `yaml:"namespace-selectors,omitempty"`
	ServiceSelectors   []selectorEntry `yaml:"service-selectors,omitempty"`
	NodeSelectors      []selectorEntry `yaml:"node-selectors,omitempty"`
	PreferredNodes     []weightedEntry `yaml:"preferred-nodes,omitempty"`
	Interfaces         []string        `yaml:"interfaces,omitempty"`
	Advertisements     []bgpEntry      `yaml:"bgp-advertisements,omitempty"`
}

type bgpEntry struct {
	// from is the name of the BGPAdvertisement, or empty for an entry of an AddressPool.
	from string

	AggregationLength   *int            `yaml:"aggregation-length,omitempty"`
	AggregationLengthV6 *int            `yaml:"aggregation-length-v6,omitempty"`
	LocalPref           uint32          `yaml:"localpref,omitempty"`
	Communities         []string        `yaml:"communities,omitempty"`
	Peers               []string        `yaml:"peers,omitempty"`
	NodeSelectors       []selectorEntry `yaml:"node-selectors,omitempty"`
	ServiceSelectors    []selectorEntry `yaml:"service-selectors,omitempty"`
}

type profileEntry struct {
	Name       string `yaml:"name"`
	Receive    *int   `yaml:"receive-interval,omitempty"`
	Transmit   *int   `yaml:"transmit-interval,omitempty"`
	Multiplier *int   `yaml:"detect-multiplier,omitempty"`
	MinimumTTL *int   `yaml:"minimum-ttl,omitempty"`
	EchoMode   bool   `yaml:"echo-mode,omitempty"`
	Passive    bool   `yaml:"passive-mode,omitempty"`
}

type peerEntry struct {
	Name            string          `yaml:"name"`
	MyASN           uint32          `yaml:"my-asn"`
	PeerASN         any             `yaml:"peer-asn,omitempty"`
	Address         string          `yaml:"peer-address,omitempty"`
	Interface       string          `yaml:"peer-interface,omitempty"`
	Port            uint16          `yaml:"peer-port,omitempty"`
	NodeSelectors   []selectorEntry `yaml:"node-selectors,omitempty"`
	SourceAddress   string          `yaml:"source-address,omitempty"`
	RouterID        string          `yaml:"router-id,omitempty"`
	HoldTime        string          `yaml:"hold-time,omitempty"`
	KeepaliveTime   string          `yaml:"keepalive-time,omitempty"`
	BFDProfile      string          `yaml:"bfd-profile,omitempty"`
	GracefulRestart string          `yaml:"graceful-restart,omitempty"`
	Password        string          `yaml:"password,omitempty"`
	PasswordSecret  string          `yaml:"password-secret,omitempty"`
	Multihop        bool            `yaml:"ebgp-multihop,omitempty"`
}

type selectorEntry struct {
	MatchLabels      map[string]string `yaml:"match-labels,omitempty"`
	MatchExpressions []expressionEntry `yaml:"match-expressions,omitempty"`
}

type weightedEntry struct {
	Weight        int `yaml:"weight"`
	selectorEntry `yaml:",inline"`
}

type expressionEntry struct {
	Key      string   `yaml:"key"`
	Operator string   `yaml:"operator"`
	Values   []string `yaml:"values,omitempty"`
}

func entry(s labelSelector) selectorEntry {
	e := selectorEntry{MatchLabels: s.MatchLabels}
	for _, x := range s.MatchExpressions {
		e.MatchExpressions = append(e.MatchExpressions, expressionEntry{x.Key, x.Operator, x.Values})
	}
	return e
}

func entries(selectors []labelSelector) []selectorEntry {
	var all []selectorEntry
	for _, s := range selectors {
		all = append(all, entry(s))
	}
	return all
}

// manifest returns a ConfigMap with the document, below the notes.
func manifest(namespace, name string, text []byte, notes []string) ([]byte, error) {
	var out bytes.Buffer
	for _, n := range notes {
		fmt.Fprintf(&out, "# %s\n", n)
	}
	type metadata struct {
		Namespace string `yaml:"namespace"`
		Name      string `yaml:"name"`
	}
	object := struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string `yaml:"kind"`
		Metadata   metadata
		Data       struct{ Config yaml.Node }
	}{APIVersion: "v1", Kind: "ConfigMap", Metadata: metadata{namespace, name}}
	object.Data.Config = yaml.Node{Kind: yaml.ScalarNode, Style: yaml.LiteralStyle, Value: string(text)}
	if err := encode(&out, object); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func encode(out *bytes.Buffer, v any) error {
	encoder := yaml.NewEncoder(out)
	encoder.SetIndent(2)
	encoder.CompactSeqIndent()
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	return encoder.Close()
}

// list joins names for a sentence.
func list(names []string) string { return strings.Join(names, ", ") }
