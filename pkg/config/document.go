package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxAliased limits the total number of nodes that the aliases of one document stand for. Without the limit, a few
// lines of aliases to aliases could expand to billions of nodes.
const maxAliased = 100_000

// parseDocument returns the only document in text, or nil for an empty text.
func parseDocument(text []byte) (*yaml.Node, *Problem) {
	documents, problem := parseStream(text)
	if problem != nil {
		return nil, problem
	}
	var root *yaml.Node
	for i, document := range documents {
		if i > 0 && !isNull(document) {
			return nil, problemAt(document, "", "a second YAML document begins here, and only one is read; "+
				"put everything under the keys of the first, without ---")
		}
		if i == 0 && !isNull(document) {
			root = document
		}
	}
	return root, nil
}

// parseStream returns the root node of each document in text, after a check that the aliases are safe to follow.
func parseStream(text []byte) ([]*yaml.Node, *Problem) {
	roots, err := decodeStream(text)
	if err != nil {
		return nil, syntaxProblem(text, err)
	}
	for _, root := range roots {
		counter := aliasCounter{size: map[*yaml.Node]int{}}
		counter.count(root)
		if counter.problem != nil {
			return nil, counter.problem
		}
	}
	return roots, nil
}

func decodeStream(text []byte) ([]*yaml.Node, error) {
	var roots []*yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var document yaml.Node
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return roots, nil
		}
		if err != nil {
			return nil, err
		}
		roots = append(roots, document.Content...)
	}
}

// syntaxProblem locates the first syntax error in text. Some errors of the library have no line, some a line that is
// off by one, and some the first line of the enclosing block. Therefore syntaxProblem searches for the first line such
// that the text up to the end of this line has the same error.
func syntaxProblem(text []byte, err error) *Problem {
	ends := lineEnds(text)
	line := 1 + sort.Search(len(ends)-1, func(i int) bool {
		_, partial := decodeStream(text[:ends[i]])
		return partial != nil && partial.Error() == err.Error()
	})
	reason := strings.TrimPrefix(err.Error(), "yaml: ")
	if strings.HasPrefix(reason, "unknown anchor ") {
		// Leave the name out of the message, because the name may be a password that begins with an asterisk.
		reason = "an alias (*) has no anchor (&); put a text that begins with * in quotes"
	}
	if rest, ok := strings.CutPrefix(reason, "line "); ok {
		if _, after, ok := strings.Cut(rest, ": "); ok {
			reason = after
		}
	}
	start := 0
	if line > 1 {
		start = ends[line-2]
	}
	return &Problem{Line: line, Message: shortened(fmt.Sprintf("not valid YAML: %s%s", reason,
		syntaxHint(reason, text[start:ends[line-1]])))}
}

// syntaxHint returns a hint at the most frequent cause of the error in this line.
func syntaxHint(reason string, line []byte) string {
	indent := line[:len(line)-len(bytes.TrimLeft(line, " \t"))]
	switch {
	case bytes.ContainsRune(indent, '\t'):
		return "; the line is indented with a tab, write spaces"
	case strings.HasPrefix(reason, "mapping values are not allowed"),
		strings.HasPrefix(reason, "did not find expected key"),
		strings.HasPrefix(reason, "did not find expected '-' indicator"):
		return "; look for a wrong indentation here, or for text that needs quotes"
	default:
		return ""
	}
}

// lineEnds returns the offset after each line of text, at least one.
func lineEnds(text []byte) []int {
	var ends []int
	for i, b := range text {
		if b == '\n' {
			ends = append(ends, i+1)
		}
	}
	if len(ends) == 0 || ends[len(ends)-1] < len(text) {
		ends = append(ends, len(text))
	}
	return ends
}

// aliasCounter counts the nodes of a document with all aliases followed.
type aliasCounter struct {
	// size holds, for each node with an anchor, the number of nodes that the anchor stands for; 0 while the count runs.
	size    map[*yaml.Node]int
	aliased int
	problem *Problem
}

func (c *aliasCounter) count(n *yaml.Node) int {
	if c.problem != nil {
		return 0
	}
	if n.Kind == yaml.AliasNode {
		size := c.size[n.Alias]
		c.aliased += size
		switch {
		case size == 0:
			c.problem = problemAt(n, "", "the alias *%s stands inside of what it stands for", n.Value)
		case c.aliased > maxAliased:
			c.problem = problemAt(n, "", "the aliases up to *%s stand for more than %d nodes; write out what is meant",
				n.Value, maxAliased)
		}
		return size
	}
	if n.Anchor != "" {
		c.size[n] = 0
	}
	size := 1
	for _, child := range n.Content {
		size += c.count(child)
	}
	if n.Anchor != "" {
		c.size[n] = size
	}
	return size
}

// isNull reports whether n is an empty value: nothing, ~ or null.
func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// follow returns the target if n is an alias, else n.
func follow(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}
