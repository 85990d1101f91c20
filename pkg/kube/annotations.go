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

// ownNames and theirNames list the annotations of a Service that Lanlord reads, without the prefix.
var (
	ownNames   = [...]string{"load-balancer-ips", "address-pool", "prefer-node", "announce-from", "allow-shared-ip"}
	theirNames = [...]string{"loadBalancerIPs", "address-pool", "allow-shared-ip"}
)

// writtenNames lists the annotations that controllers write on a Service, without the prefix.
var writtenNames = [...]string{"ip-allocated-from-pool", "assignment"}

// mostUnknown limits the number of reported annotations of a Service.
const mostUnknown = 3

// unknownAnnotations returns the annotations of a Service that are probably misspelt, sorted, at most mostUnknown: the
// unknown annotations with Lanlord's prefix, and the annotations with MetalLB's prefixes that are one of theirNames
// except for a typing error.
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
	if rest, ours := cutPrefix(name, ownPrefix); ours {
		return name != ownPrefix+rest || !slices.Contains(ownNames[:], rest) && !slices.Contains(writtenNames[:], rest)
	}
	for _, prefix := range theirPrefixes {
		if rest, theirs := cutPrefix(name, prefix); theirs {
			near := config.Nearest(rest, theirNames[:])
			return near != "" && name != prefix+near
		}
	}
	return false
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
	for _, prefix := range theirPrefixes {
		if rest, theirs := cutPrefix(name, prefix); theirs {
			return text + "; did you mean " + prefix + config.Nearest(rest, theirNames[:]) + "?"
		}
	}
	rest, _ := cutPrefix(name, ownPrefix)
	if near := config.Nearest(rest, ownNames[:]); near != "" {
		return text + "; did you mean " + ownPrefix + near + "?"
	}
	return text + "; known are " + strings.Join(ownNames[:], ", ")
}
