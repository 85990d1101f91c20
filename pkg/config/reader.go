package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// value is the value of one key of the document, or of one item of a list.
type value[T any] struct {
	v  T
	at place
	// given is true when the key exists and is not null. ok is true when the key also has a value of the right type.
	given, ok bool
}

// present reports whether the key exists, even with the value null.
func (v *value[T]) present() bool { return v.at != place{} }

// or sets the default of a key that is not given.
func (v *value[T]) or(otherwise T) {
	if !v.given {
		v.v = otherwise
	}
}

// read reads the value of one key, or an item of a list.
type read func(n *yaml.Node, at place)

// field is one key that a mapping may hold.
type field struct {
	name string
	read read
}

// reader reads values from nodes. reader reports wrong types, unknown keys and duplicate keys; the builder checks later
// whether the values make sense together.
type reader struct{ *findings }

// mapping reads a mapping that may have only the keys in fields. An empty node is an empty mapping. mapping returns
// false when n is not a mapping.
func (r reader) mapping(n *yaml.Node, at place, fields []field) bool {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	given := map[string]bool{}
	pairs, ok := r.pairs(n, at)
	for _, p := range pairs {
		given[p.key] = true
	}
	for _, p := range pairs {
		where := at.key(p.key, p.line)
		i := slices.Index(names, p.key)
		if i >= 0 {
			fields[i].read(p.value, where)
			continue
		}
		switch meant := Nearest(p.key, names); {
		case meant == "":
			r.fail(where, "unknown key; the keys here are %s", strings.Join(names, ", "))
		case given[meant]:
			r.fail(where, "unknown key; if %s was meant, it is there already", meant)
		default:
			r.fail(where, "unknown key; did you mean %s?", meant)
			// Read the value as the value of the nearest key, so that errors in the value are reported too, and the key
			// does not count as missing.
			given[meant] = true
			fields[slices.Index(names, meant)].read(p.value, where)
		}
	}
	return ok
}

// pair is a key of a mapping and its value.
type pair struct {
	key   string
	line  int
	value *yaml.Node
}

// pairs returns the entries of the mapping n, with merge keys (<<) resolved: the entries of n take precedence over
// merged entries. pairs returns false when n is not a mapping.
func (r reader) pairs(n *yaml.Node, at place) (all []pair, ok bool) {
	n = follow(n)
	if isNull(n) {
		return nil, true
	}
	if n.Kind != yaml.MappingNode {
		subject := ""
		if at.path == "" {
			subject = "the document "
		}
		r.fail(at, "%smust be a mapping (key: value), and is %s", subject, describe(n))
		return nil, false
	}
	var merges []*yaml.Node
	lines := map[string]int{}
	for i := 0; i < len(n.Content); i += 2 {
		key, content := follow(n.Content[i]), n.Content[i+1]
		switch first, twice := lines[key.Value]; {
		case key.Kind != yaml.ScalarNode:
			at.line = n.Content[i].Line
			r.fail(at, "a key must be a single word, and here is %s", describe(key))
		case key.Tag == "!!merge":
			merges = append(merges, content)
		case twice:
			r.fail(at.key(key.Value, n.Content[i].Line), "the key is given twice, first on line %d; remove one", first)
		default:
			lines[key.Value] = n.Content[i].Line
			all = append(all, pair{key.Value, n.Content[i].Line, content})
		}
	}
	for _, merge := range merges {
		sources := []*yaml.Node{merge}
		if list := follow(merge); list.Kind == yaml.SequenceNode {
			sources = list.Content
		}
		for _, source := range sources {
			inherited, _ := r.pairs(source, at.key("<<", source.Line))
			for _, p := range inherited {
				if _, ok := lines[p.key]; !ok {
					lines[p.key] = p.line
					all = append(all, p)
				}
			}
		}
	}
	return all, true
}

// each calls item for every item of the list n, and reports whether n is a list. A null is an empty list.
func (r reader) each(n *yaml.Node, at place, item read) bool {
	n = follow(n)
	if isNull(n) {
		return true
	}
	if n.Kind != yaml.SequenceNode {
		r.fail(at, "must be a list, and is %s", describe(n))
		return false
	}
	for i, content := range n.Content {
		item(content, at.item(i, content.Line))
	}
	return true
}

// list reads a list. item reads one item, and returns false for an item to leave out.
func list[T any](r reader, to *value[[]T], item func(n *yaml.Node, at place) (T, bool)) read {
	return func(n *yaml.Node, at place) {
		complete := true
		isList := r.each(n, at, func(n *yaml.Node, at place) {
			if v, ok := item(n, at); ok {
				to.v = append(to.v, v)
			} else {
				complete = false
			}
		})
		to.at, to.given, to.ok = at, !isNull(follow(n)), isList && complete
	}
}

// texts reads a list of texts. A null in the list is an empty text.
func (r reader) texts(to *value[[]value[string]]) read {
	items := list(r, to, func(n *yaml.Node, at place) (value[string], bool) {
		var item value[string]
		r.text(&item)(n, at)
		item.ok = item.ok || !item.given
		return item, true
	})
	return func(n *yaml.Node, at place) {
		if lone := follow(n); lone.Kind == yaml.ScalarNode && !isNull(lone) {
			r.fail(at, "must be a list, and is %s; write [%q]", describe(lone), lone.Value)
			to.at, to.given = at, true
			return
		}
		items(n, at)
	}
}

// named reads a mapping from names of the user's choice to texts, in the order of the document.
func (r reader) named(to *value[[]entry]) read {
	return func(n *yaml.Node, at place) {
		to.at, to.given, to.ok = at, !isNull(follow(n)), true
		pairs, _ := r.pairs(n, at)
		for _, p := range pairs {
			e := entry{name: p.key}
			r.text(&e.text)(p.value, at.key(p.key, p.line))
			e.text.at = at.key(p.key, p.line)
			to.v = append(to.v, e)
		}
	}
}

// entry is a name of the user's choice with its text.
type entry struct {
	name string
	text value[string]
}

// scalar reads a single value. parse parses the node; the error of parse is the message for the user. A null has the
// same meaning as a missing key.
func scalar[T any](r reader, to *value[T], parse func(n *yaml.Node) (T, error)) read {
	return func(n *yaml.Node, at place) {
		n = follow(n)
		to.at, to.given = at, !isNull(n)
		if !to.given {
			return
		}
		v, err := parse(n)
		if err != nil {
			r.fail(at, "%s", err)
			return
		}
		to.v, to.ok = v, true
	}
}

// text reads a text. A value that YAML takes for a number or a bool is a text as written, like in MetalLB.
func (r reader) text(to *value[string]) read {
	return scalar(r, to, func(n *yaml.Node) (string, error) {
		if n.Kind != yaml.ScalarNode {
			return "", fmt.Errorf("must be a text, and is %s", describe(n))
		}
		if !isText(n) {
			return "", fmt.Errorf("must be a text, and has the tag %s; remove the tag", n.Tag)
		}
		return n.Value, nil
	})
}

// isText reports whether text accepts the tag of the scalar n.
func isText(n *yaml.Node) bool {
	return slices.Contains([]string{"!!str", "!!int", "!!float", "!!bool", "!!timestamp", "!!merge"}, n.Tag)
}

// boolean reads true or false, in all spellings of YAML 1.1. MetalLB reads the same spellings.
func (r reader) boolean(to *value[bool]) read {
	return scalar(r, to, func(n *yaml.Node) (bool, error) {
		if n.Kind == yaml.ScalarNode && !quoted(n) {
			switch n.Value {
			case "true", "True", "TRUE", "yes", "Yes", "YES", "y", "Y", "on", "On", "ON":
				return true, nil
			case "false", "False", "FALSE", "no", "No", "NO", "n", "N", "off", "Off", "OFF":
				return false, nil
			}
		}
		return false, fmt.Errorf("must be true or false, and is %s", describe(n))
	})
}

// number reads a whole number from least to most.
func (r reader) number(to *value[int64], least, most int64) read {
	return scalar(r, to, func(n *yaml.Node) (int64, error) { return parseNumber(n, least, most, "a whole number") })
}

// parseNumber parses a whole number from least to most. what names the values that the key accepts.
func parseNumber(n *yaml.Node, least, most int64, what string) (int64, error) {
	v, err := strconv.ParseInt(n.Value, 0, 64)
	if n.Kind != yaml.ScalarNode || quoted(n) || err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, fmt.Errorf("must be %s, and is %s", what, describe(n))
	}
	if err != nil || v < least || v > most {
		return 0, fmt.Errorf("must be %d to %d, and is %s", least, most, n.Value)
	}
	return v, nil
}

// duration reads a duration with its unit. An empty text has the same meaning as a missing key.
func (r reader) duration(to *value[time.Duration]) read {
	return unlessEmpty(scalar(r, to, func(n *yaml.Node) (time.Duration, error) { return parseDuration(n, "a duration like 90s") }))
}

// durationOrNever reads a duration, or the word never, which means FailbackNever. A duration equal to FailbackNever is
// an error.
func (r reader) durationOrNever(to *value[time.Duration]) read {
	return unlessEmpty(scalar(r, to, func(n *yaml.Node) (time.Duration, error) {
		if n.Kind == yaml.ScalarNode && strings.EqualFold(n.Value, "never") {
			return FailbackNever, nil
		}
		d, err := parseDuration(n, "a duration like 90s, or never")
		if err == nil && d == FailbackNever {
			err = fmt.Errorf("must be 0s to 24h, or never, and is %s", n.Value)
		}
		return d, err
	}))
}

// parseDuration parses a duration with its unit. what names the values that the key accepts.
func parseDuration(n *yaml.Node, what string) (time.Duration, error) {
	if n.Kind != yaml.ScalarNode {
		return 0, fmt.Errorf("must be %s, and is %s", what, describe(n))
	}
	d, err := time.ParseDuration(n.Value)
	if err == nil {
		return d, nil
	}
	if n.Tag == "!!int" {
		return 0, fmt.Errorf("must be a duration with its unit, and is %s; write %ss", n.Value, n.Value)
	}
	return 0, fmt.Errorf("must be %s, and is %s", what, describe(n))
}

// unlessEmpty returns a read that treats an empty text like a missing key.
func unlessEmpty(parse read) read {
	return func(n *yaml.Node, at place) {
		if text := follow(n); text.Kind != yaml.ScalarNode || text.Value != "" {
			parse(n, at)
		}
	}
}

func quoted(n *yaml.Node) bool {
	return n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
}

// describe describes n, for a message about a wrong type.
func describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case isNull(n):
		return "empty"
	case quoted(n):
		return fmt.Sprintf("the text %q", n.Value)
	case n.Tag == "!!str" || n.Tag == "!!int" || n.Tag == "!!float" || n.Tag == "!!bool":
		return strconv.Quote(n.Value)
	default:
		return fmt.Sprintf("%q (%s)", n.Value, strings.TrimPrefix(n.Tag, "!!"))
	}
}
