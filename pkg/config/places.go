package config

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// The words of excluded-nodes and of announce-from.
const (
	skipNodes     = "skip"
	useNodes      = "use"
	fromAny       = "any"
	fromEndpoints = "endpoints"
)

// Announces reports whether other controllers give the Services of this load-balancer class their addresses, and Lanlord
// announces the addresses. The empty class means Services without a class.
func (c *Config) Announces(class string) bool {
	_, found := slices.BinarySearch(c.AnnounceClasses, class)
	return found
}

// classes returns what is under announce-classes, sorted. An empty list means none.
func (b *builder) classes(raw value[[]value[string]]) []string {
	var classes []string
	for _, item := range raw.v {
		switch {
		case !item.ok:
		case item.v != "" && len(validation.IsQualifiedName(item.v)) > 0:
			b.fail(item.at, "%q cannot be a load-balancer class: it has at most 63 letters, digits, -, _ and ., the first and "+
				"the last a letter or a digit, and a prefix like example.com/ or none", item.v)
		case !item.given:
			b.fail(item.at, `the class is empty; write "" to mean Services without a class`)
		case slices.Contains(classes, item.v):
			b.warn(item.at, "%q is in the list twice", item.v)
		default:
			classes = append(classes, item.v)
		}
	}
	slices.Sort(classes)
	return classes
}

// usesExcluded reads excluded-nodes.
func (b *builder) usesExcluded(v value[string]) bool {
	return b.oneOfGiven(v, skipNodes, useNodes) == 1
}

// poolUse returns the use of excluded nodes by a pool: its own excluded-nodes, or that of the whole configuration.
func (b *builder) poolUse(v value[string], otherwise Use) Use {
	if !v.given {
		return otherwise
	}
	uses := b.usesExcluded(v)
	return Use{Layer2: uses, BGP: uses}
}

// oneOfGiven is oneOf for a value that may have been reported already.
func (b *builder) oneOfGiven(v value[string], choices ...string) int {
	if v.given && !v.ok {
		return -1
	}
	return b.oneOf(v, choices...)
}

func (c *Config) reportClasses(out *bytes.Buffer) {
	if len(c.AnnounceClasses) == 0 {
		return
	}
	texts := make([]string, len(c.AnnounceClasses))
	for i, class := range c.AnnounceClasses {
		if texts[i] = class; class == "" {
			texts[i] = "(none)"
		}
	}
	fmt.Fprintf(out, "other controllers give Services of these classes their addresses, and Lanlord announces them: %s\n",
		strings.Join(texts, ", "))
}

// useTexts says for which protocols of the pool the excluded nodes announce, nothing for none.
func (p Pool) useTexts() []string {
	var protocols []string
	if p.Layer2 && p.UseExcluded.Layer2 {
		protocols = append(protocols, "layer2")
	}
	if p.BGP && p.UseExcluded.BGP {
		protocols = append(protocols, "bgp")
	}
	if len(protocols) == 0 {
		return nil
	}
	return []string{"use, for " + strings.Join(protocols, " and ")}
}
