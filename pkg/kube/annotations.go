package kube

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/lanlord/lanlord/pkg/config"
)

// ownPrefix is the prefix of Lanlord's annotations.
const ownPrefix = "lanlord.io/"

// theirPrefixes lists the prefixes of MetalLB's annotations. MetalLB and other programs write annotations with these
// prefixes too.
var theirPrefixes = [...]string{"metallb.io/", "metallb.universe.tf/"}

// ownAnnotations lists Lanlord's annotations of a Service that users write, and writtenAnnotations those that
// controllers write.
var (
	ownAnnotations = [...]string{
		AddressesAnnotation, PoolAnnotation, PreferNodeAnnotation, AnnounceFromAnnotation, SharingAnnotation,
	}
	writtenAnnotations = [...]string{AllocatedFromAnnotation, AssignmentAnnotation}
)

// mostUnknown limits the number of reported annotations of a Service.
const mostUnknown = 3

// unknownAnnotations returns the annotations of a Service that are probably misspelt, sorted, at most mostUnknown: the
// unknown annotations with Lanlord's prefix, and the annotations with MetalLB's prefixes that are a known annotation of
// MetalLB except for a typing error.
func unknownAnnotations(o *corev1.Service) (names []string) {
	for name := range o.Annotations {
		if isUnknown(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names[:min(len(names), mostUnknown)]
}

func isUnknown(name string) bool {
	if _, ours := cutPrefix(name, ownPrefix); ours {
		return !slices.Contains(ownAnnotations[:], name) && !slices.Contains(writtenAnnotations[:], name)
	}
	near := meant(name)
	return near != "" && near != name
}

// meant returns the known annotation that the author of an annotation probably meant, with the same prefix; "" for
// none.
func meant(name string) string {
	if rest, ours := cutPrefix(name, ownPrefix); ours {
		return config.Nearest(ownPrefix+rest, ownAnnotations[:])
	}
	for _, prefix := range theirPrefixes {
		if rest, theirs := cutPrefix(name, prefix); theirs {
			known := slices.Concat(addressesAnnotations[1:], poolAnnotations[1:], sharingAnnotations[1:])
			return config.Nearest(prefix+rest, known)
		}
	}
	return ""
}

// cutPrefix removes a prefix in any case: the API server accepts annotations with capital letters in the prefix.
func cutPrefix(name, prefix string) (rest string, found bool) {
	if len(name) < len(prefix) || !strings.EqualFold(name[:len(prefix)], prefix) {
		return "", false
	}
	return name[len(prefix):], true
}

// unknownText returns the problem of an annotation from unknownAnnotations in a sentence.
func unknownText(name string) string {
	text := "the annotation " + name + " is not known and is not heeded"
	if near := meant(name); near != "" {
		return text + "; did you mean " + near + "?"
	}
	known := make([]string, len(ownAnnotations))
	for i, own := range ownAnnotations {
		known[i] = strings.TrimPrefix(own, ownPrefix)
	}
	return text + "; known are " + strings.Join(known, ", ")
}
