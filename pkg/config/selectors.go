package config

import (
	"slices"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/util/validation"
)

// selectors returns the label selectors of one key. what names the selected things, in the plural.
func (b *builder) selectors(raw value[[]rawSelector], what string) []labels.Selector {
	if raw.ok && len(raw.v) == 0 && raw.present() {
		b.fail(raw.at, "the list is empty; remove the key to mean all %s", what)
	}
	var all []labels.Selector
	for _, s := range raw.v {
		all = append(all, b.selector(s))
	}
	return all
}

// selector returns the label selector for raw; an empty raw selects all.
func (b *builder) selector(raw rawSelector) labels.Selector {
	var all []labels.Requirement
	for _, label := range raw.labels.v {
		if b.labelKey(label.name, label.text.at) && b.labelValue(label.text) {
			all = b.require(all, label.text.at, label.name, selection.Equals, label.text.v)
		}
	}
	for _, e := range raw.expressions.v {
		all = b.expression(all, e)
	}
	if len(all) == 0 {
		return labels.Everything()
	}
	return labels.NewSelector().Add(all...)
}

// expression adds the requirement of e to all, unless e has an error.
func (b *builder) expression(all []labels.Requirement, e rawExpression) []labels.Requirement {
	ok := b.required(e.key, e.at, "key", "key: kubernetes.io/hostname")
	ok = ok && b.labelKey(e.key.v, e.key.at)
	if !b.required(e.operator, e.at, "operator", "operator: In") {
		return all
	}
	i := b.oneOf(e.operator, "In", "NotIn", "Exists", "DoesNotExist")
	if i < 0 {
		return all
	}
	operator := [...]selection.Operator{selection.In, selection.NotIn, selection.Exists, selection.DoesNotExist}[i]
	switch n := len(e.values.v); {
	case i < 2 && n == 0 && (e.values.ok || !e.values.given):
		b.fail(e.at, "operator %s needs values; list at least one under values", e.operator.v)
		ok = false
	case i >= 2 && n > 0:
		b.fail(e.values.at, "operator %s has no values; remove the key", e.operator.v)
		ok = false
	}
	var values []string
	for _, v := range e.values.v {
		ok = b.labelValue(v) && ok
		values = append(values, v.v)
	}
	if !ok {
		return all
	}
	return b.require(all, e.at, e.key.v, operator, slices.Compact(slices.Sorted(slices.Values(values)))...)
}

func (b *builder) require(
	all []labels.Requirement, at place, key string, operator selection.Operator, values ...string,
) []labels.Requirement {
	requirement, err := labels.NewRequirement(key, operator, values)
	if err != nil {
		b.fail(at, "%s", err)
		return all
	}
	return append(all, *requirement)
}

func (b *builder) labelKey(key string, at place) bool {
	ok := len(validation.IsQualifiedName(key)) == 0
	if !ok {
		b.fail(at, "%q cannot be the key of a label: it has at most 63 letters, digits, -, _ and ., the first and the last "+
			"a letter or a digit, and a prefix like example.com/ or none", key)
	}
	return ok
}

func (b *builder) labelValue(v value[string]) bool {
	ok := len(validation.IsValidLabelValue(v.v)) == 0
	if !ok {
		b.fail(v.at, "%q cannot be the value of a label: it has at most 63 letters, digits, -, _ and ., the first and the "+
			"last a letter or a digit", v.v)
	}
	return ok && (v.ok || !v.given)
}
