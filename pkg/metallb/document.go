package metallb

import (
	"bytes"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The types of the document, with the keys of deploy/config.example.yaml in its order.

type document struct {
	Pools []poolEntry `yaml:"address-pools"`
}

type poolEntry struct {
	Name               string          `yaml:"name"`
	Protocol           string          `yaml:"protocol"`
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

// manifest is the ConfigMap with the document, below the notes.
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

// list is names in a sentence.
func list(names []string) string { return strings.Join(names, ", ") }
