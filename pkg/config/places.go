package config

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// These are the words of excluded-nodes and of announce-from.
const (
	skipNodes     = "skip"
	useNodes      = "use"
	fromAny       = "any"
	fromEndpoints = "endpoints"
)

// Announces reports whether Lanlord announces the addresses that other controllers assign to Services of this
// load-balancer class. The empty class means Services without a class.
func (c *Config) Announces(class string) bool {
	_, found := slices.BinarySearch(c.AnnounceClasses, class)
	return found
}

// classes returns the classes under announce-classes, sorted. An empty list means none.
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

// usesExcluded reports whether excluded-nodes allows the excluded nodes.
func (b *builder) usesExcluded(v value[string]) bool {
	return b.oneOfGiven(v, skipNodes, useNodes) == 1
}

// poolUse returns the use of excluded nodes by a pool: the pool's own excluded-nodes, or the setting of the whole
// configuration.
func (b *builder) poolUse(v value[string], otherwise Use) Use {
	if !v.given {
		return otherwise
	}
	uses := b.usesExcluded(v)
	return Use{Layer2: uses, BGP: uses}
}

// oneOfGiven calls oneOf, unless the value has been reported already; oneOfGiven returns -1 then.
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

// useTexts describes the protocols of the pool for which excluded nodes announce; nil for none.
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
