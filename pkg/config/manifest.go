package config

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// dataKey is the key in the data of the ConfigMap that holds the document.
const dataKey = "config"

// source is a document found in a file.
type source struct {
	text []byte
	// object names the ConfigMap that contains the document; empty if the file is the document itself.
	object string
	// namespace and name identify the ConfigMap; each is empty if not given.
	namespace, name string
	// offset plus a line number of text gives the line number of the file, if inFile is true.
	offset int
	// inFile is false if the lines of text are not lines of the file, because the text is quoted or folded.
	inFile bool
}

// findDocument returns the document in data. data is the document itself, or contains manifests in YAML or JSON, one of
// them a ConfigMap with the document.
func findDocument(data []byte) (source, *Problem) {
	roots, problem := parseStream(data)
	if problem != nil {
		return source{}, problem
	}
	first := slices.IndexFunc(roots, isManifest)
	if first < 0 {
		return source{text: data, inFile: true}, nil
	}
	var found []*yaml.Node
	for _, root := range roots {
		for _, object := range withItems(root) {
			if scalarAt(object, "kind") == "ConfigMap" {
				found = append(found, object)
			}
		}
	}
	switch len(found) {
	case 0:
		return source{}, problemAt(roots[first], "", "this is a manifest of kind %q, and no ConfigMap is in the file; "+
			"write one with the document under data.%s", scalarAt(roots[first], "kind"), dataKey)
	case 1:
		return documentIn(found[0])
	default:
		return source{}, problemAt(found[1], "", "a second ConfigMap begins here; give the one that is meant in a file of its own")
	}
}

// documentIn returns the document in the ConfigMap n.
func documentIn(n *yaml.Node) (source, *Problem) {
	if version := scalarAt(n, "apiVersion"); version != "v1" {
		return source{}, problemAt(n, "apiVersion", "a ConfigMap has v1, and here is %q", version)
	}
	data := child(n, "data")
	text := child(data, dataKey)
	switch {
	case text == nil && data != nil:
		return source{}, problemAt(data, "data", "there is no key %s; write the document under it, after %s: |", dataKey, dataKey)
	case text == nil:
		return source{}, problemAt(n, "", "the ConfigMap has no data; write the document under data.%s", dataKey)
	case text.Kind != yaml.ScalarNode || !quoted(text) && text.Tag != "!!str":
		return source{}, problemAt(text, "data."+dataKey, "must be a text, and is %s; write %s: | and the document indented below it",
			describe(text), dataKey)
	}
	metadata := child(n, "metadata")
	s := source{text: []byte(text.Value), namespace: scalarAt(metadata, "namespace"), name: scalarAt(metadata, "name")}
	s.object = "ConfigMap " + s.name
	if s.namespace != "" {
		s.object = fmt.Sprintf("ConfigMap %s/%s", s.namespace, s.name)
	}
	if text.Style&yaml.LiteralStyle != 0 {
		// A literal block begins on the line after its indicator, and keeps its lines.
		s.offset, s.inFile = text.Line, true
	}
	return s, nil
}

func problemAt(n *yaml.Node, path, format string, args ...any) *Problem {
	return &Problem{Line: n.Line, Path: path, Message: shortened(fmt.Sprintf(format, args...))}
}

// isManifest reports whether n looks like a Kubernetes object. A document has no key apiVersion or kind.
func isManifest(n *yaml.Node) bool { return child(n, "apiVersion") != nil && child(n, "kind") != nil }

// withItems returns the items of n if n is a list of objects, else n itself.
func withItems(n *yaml.Node) []*yaml.Node {
	if items := child(n, "items"); items != nil && items.Kind == yaml.SequenceNode {
		var all []*yaml.Node
		for _, item := range items.Content {
			all = append(all, follow(item))
		}
		return all
	}
	return []*yaml.Node{n}
}

// child returns the value of a key of n, or nil; n may be nil.
func child(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return follow(n.Content[i+1])
		}
	}
	return nil
}

func scalarAt(n *yaml.Node, key string) string {
	if value := child(n, key); value != nil && value.Kind == yaml.ScalarNode {
		return value.Value
	}
	return ""
}
