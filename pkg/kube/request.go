package kube

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// requested reads the addresses and the pool that a Service requests. With a problem, addrs and pool are empty.
func requested(o *corev1.Service, families []cluster.Family) (addrs []netip.Addr, pool, problem string) {
	for _, names := range requestAnnotations() {
		if problem := contradiction(o, names); problem != "" {
			return nil, "", problem
		}
	}
	name, text := firstAnnotation(o, addressesAnnotations[:])
	addrs, problem = parseRequest(text, families)
	if problem != "" {
		return nil, "", "the annotation " + name + " " + problem
	}
	if o.Spec.LoadBalancerIP != "" {
		single, wrong := parseRequest(o.Spec.LoadBalancerIP, families)
		switch {
		case wrong != "":
			return nil, "", "spec.loadBalancerIP " + wrong
		case len(single) > 1:
			return nil, "", fmt.Sprintf("spec.loadBalancerIP holds more than one address; move them to the annotation %s",
				AddressesAnnotation)
		case len(addrs) == 0:
			addrs = single
		case len(single) == 1 && !slices.Contains(addrs, single[0]):
			return nil, "", fmt.Sprintf("spec.loadBalancerIP asks for %s and the annotation %s for %s; remove one of the two",
				single[0], name, join(addrs))
		}
	}
	_, pool = firstAnnotation(o, poolAnnotations[:])
	return addrs, pool, ""
}

// requestAnnotations returns the annotations that may not contradict each other, by meaning.
func requestAnnotations() [3][]string {
	return [...][]string{addressesAnnotations[:], poolAnnotations[:], sharingAnnotations[:]}
}

// contradiction returns the problem of two annotations with the same meaning and different values, and "" without such
// annotations. Spaces and empty parts of a list do not count as a difference.
func contradiction(o *corev1.Service, names []string) string {
	first, value := firstAnnotation(o, names)
	for _, name := range names {
		if other := strings.TrimSpace(o.Annotations[name]); other != "" && compactList(other) != compactList(value) {
			return fmt.Sprintf("the annotation %s has the value %s and the annotation %s the value %s; remove one of the two",
				first, quote(value), name, quote(other))
		}
	}
	return ""
}

// compactList removes the spaces around the parts of a list, and the empty parts.
func compactList(list string) string {
	parts := strings.Split(list, ",")
	for i, part := range parts {
		parts[i] = strings.TrimSpace(part)
	}
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), ",")
}

// requestValue returns the text of all fields that requested reads, as the user wrote them. While the text is the same,
// the problem is the same.
func requestValue(o *corev1.Service) string {
	_, text := firstAnnotation(o, addressesAnnotations[:])
	text += ";" + o.Spec.LoadBalancerIP
	for _, names := range requestAnnotations() {
		if contradiction(o, names) == "" {
			continue
		}
		for _, name := range names {
			text += ";" + strings.TrimSpace(o.Annotations[name])
		}
	}
	return text
}

// preferredNode reads the name of the Node that should announce the addresses. With a problem the name is empty. The
// problem does not repeat the value of the annotation, which may be long: the problem becomes part of the condition.
func preferredNode(o *corev1.Service) (name, problem string) {
	name = strings.TrimSpace(o.Annotations[PreferNodeAnnotation])
	if name != "" && len(validation.IsDNS1123Subdomain(name)) > 0 {
		return "", "the annotation " + PreferNodeAnnotation + " does not hold the name of a Node and is not heeded"
	}
	return name, ""
}

// announceFrom reads whether to prefer nodes with endpoints. With a problem the pool decides.
func announceFrom(o *corev1.Service) (from cluster.AnnounceFrom, problem string) {
	switch strings.TrimSpace(o.Annotations[AnnounceFromAnnotation]) {
	case "":
		return cluster.FromPool, ""
	case "any":
		return cluster.FromAny, ""
	case "endpoints":
		return cluster.FromEndpoints, ""
	}
	return cluster.FromPool, "the annotation " + AnnounceFromAnnotation + " is neither endpoints nor any and is not heeded"
}

// prefer reads the annotations that prefer nodes into s, and notes the annotations that have no effect.
func prefer(o *corev1.Service, s *cluster.Service) {
	var problems, values []string
	note := func(problem, annotation string) {
		if problem != "" {
			problems, values = append(problems, problem), append(values, strings.TrimSpace(o.Annotations[annotation]))
		}
	}
	var problem string
	s.PreferNode, problem = preferredNode(o)
	note(problem, PreferNodeAnnotation)
	s.AnnounceFrom, problem = announceFrom(o)
	note(problem, AnnounceFromAnnotation)
	for _, name := range unknownAnnotations(o) {
		problems, values = append(problems, unknownText(name)), append(values, name)
	}
	s.PreferNodeProblem, s.PreferNodeValue = strings.Join(problems, "; "), strings.Join(values, ";")
}

// firstAnnotation returns the first annotation that is present and not blank, with the value trimmed.
func firstAnnotation(o *corev1.Service, names []string) (name, value string) {
	for _, name := range names {
		if value := strings.TrimSpace(o.Annotations[name]); value != "" {
			return name, value
		}
	}
	return "", ""
}

// parseRequest reads one or two addresses separated by a comma, of different families that the Service has. The problem
// is the end of a sentence that begins with the name of the annotation or field.
func parseRequest(text string, families []cluster.Family) (addrs []netip.Addr, problem string) {
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		a, err := netip.ParseAddr(part)
		if err != nil || a.Zone() != "" {
			return nil, "holds " + quote(part) + ", which is not an IP address; " +
				"write one address, or an IPv4 and an IPv6 address separated by a comma"
		}
		a = a.Unmap()
		f := cluster.FamilyOf(a)
		for _, other := range addrs {
			if cluster.FamilyOf(other) == f {
				return nil, fmt.Sprintf("asks for two %s addresses, %s and %s; a Service can have one of each family, keep one",
					f, other, a)
			}
		}
		if !slices.Contains(families, f) {
			return nil, fmt.Sprintf("asks for %s, but the Service has no %s cluster IP; add %s to spec.ipFamilies or ask for another address",
				a, f, f)
		}
		addrs = append(addrs, a)
	}
	if text != "" && len(addrs) == 0 {
		return nil, "holds no address; write one or remove it"
	}
	return addrs, ""
}

func join(addrs []netip.Addr) string {
	texts := make([]string, len(addrs))
	for i, a := range addrs {
		texts[i] = a.String()
	}
	return strings.Join(texts, " and ")
}

// quote returns text in quotes for an Event, and shortens a long text.
func quote(text string) string {
	const most = 64
	if r := []rune(text); len(r) > most {
		text = string(r[:most-1]) + "…"
	}
	return strconv.Quote(text)
}
