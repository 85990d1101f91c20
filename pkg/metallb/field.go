package metallb

import (
	"regexp"
	"strconv"
	"strings"
)

// fieldNames maps keys of Lanlord to fields of MetalLB, where the names differ by more than the spelling.
var fieldNames = map[string]string{
	"my-asn": "myASN", "peer-asn": "peerASN", "router-id": "routerID", "peer-interface": "interface",
	"graceful-restart": "enableGracefulRestart", "ebgp-multihop": "ebgpMultiHop", "avoid-buggy-ips": "avoidBuggyIPs",
	"localpref": "localPref", "aggregation-length-v6": "aggregationLengthV6", "minimum-ttl": "minimumTtl",
	"name": "metadata.name", "priority": "serviceAllocation.priority", "namespaces": "serviceAllocation.namespaces",
	"namespace-selectors": "serviceAllocation.namespaceSelectors",
}

// layer2Fields maps keys of a pool to fields of the pool's L2Advertisements.
var layer2Fields = map[string]string{
	"node-selectors": "nodeSelectors", "interfaces": "interfaces", "preferred-nodes": "preferredNodeSelectors",
}

var (
	// pathWord matches one key in a path like "addresses[0].x-y".
	pathWord = regexp.MustCompile(`[a-z0-9]+(-[a-z0-9]+)*`)
	// routePath matches the path of an entry of bgp-advertisements in a pool, and the rest of the path.
	routePath = regexp.MustCompile(`^bgp-advertisements\[(\d+)\]\.?(.*)$`)
)

// field returns MetalLB's field for a path of Lanlord's keys within an entry.
func field(path string) string {
	return pathWord.ReplaceAllStringFunc(path, func(key string) string {
		if name, known := fieldNames[key]; known {
			return name
		}
		words := strings.Split(key, "-")
		for i, word := range words[1:] {
			words[i+1] = strings.ToUpper(word[:1]) + word[1:]
		}
		return strings.Join(words, "")
	})
}

// ofPool returns the resource and the field for a path within a pool's entry: the pool itself, or one of the pool's
// advertisements.
func (r *resources) ofPool(d *document, i int, path string) origin {
	p := &r.pools[i]
	if m := routePath.FindStringSubmatch(path); m != nil && i < len(d.Pools) {
		n, err := strconv.Atoi(m[1])
		if ads := d.Pools[i].Advertisements; err == nil && n < len(ads) && ads[n].from != "" {
			return origin{"BGPAdvertisement", ads[n].from, field(m[2])}
		}
	}
	first, _, _ := strings.Cut(path, "[")
	if name, is := layer2Fields[first]; is && p.Kind == "IPAddressPool" {
		return origin{p.Kind, p.Metadata.Name, name + " of its L2Advertisements"}
	}
	return origin{p.Kind, p.Metadata.Name, field(path)}
}
