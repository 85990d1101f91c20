package cluster

// Versions records the newest state of the cluster that a node has seen. Two nodes compare their Versions to decide
// which node acts on older inputs.
type Versions struct {
	// Config identifies the configuration in use.
	Config ConfigVersion
	// EndpointSlices, Nodes and Services stand for the watched kinds. A kind without a watch is zero.
	EndpointSlices, Nodes, Services Seen
}

// ConfigVersion identifies a configuration.
type ConfigVersion struct {
	// Hash is a hash of the text, 0 for no configuration.
	Hash uint64
	// Version is the resourceVersion of the ConfigMap that held the text, 0 if unknown. For a text made of several
	// objects, Version is the newest resourceVersion at which the node saw the present state of the objects.
	Version uint64
}

// Seen records the progress of the watch of one kind. Both numbers are resourceVersions, and Changed is never above
// Complete.
type Seen struct {
	// Changed is the version of the newest change that the watch has shown: an event of any type, including deletions,
	// or the newest object of a list.
	Changed uint64
	// Complete is the version up to which the watch has shown every change: the version of a list, a bookmark or an
	// event.
	Complete uint64
}

// behind reports whether s lacks a change that o has shown. A larger Complete alone proves nothing, because the watches
// of two nodes get their bookmarks at different times.
func (s Seen) behind(o Seen) bool { return o.Changed > s.Complete }

// behind reports whether c is older than o. Equal texts are equally old, even with different versions, and no
// configuration is older than every configuration.
func (c ConfigVersion) behind(o ConfigVersion) bool {
	switch {
	case c.Hash == o.Hash:
		return false
	case c.Hash == 0 || o.Hash == 0:
		return c.Hash == 0
	}
	return c.Version < o.Version
}

// Less reports whether a node with v has older inputs than a node with o. Less compares the kinds in the order Config,
// EndpointSlices, Nodes, Services. The first kind in which exactly one of v and o is behind decides. Both nodes of a
// pair come to the same result, and at most one of v.Less(o) and o.Less(v) is true. Less is not transitive, because
// each kind has a separate watch.
func (v Versions) Less(o Versions) bool {
	if less, more := v.Config.behind(o.Config), o.Config.behind(v.Config); less != more {
		return less
	}
	mine, other := v.watched(), o.watched()
	for i := range mine {
		if less, more := mine[i].behind(other[i]), other[i].behind(mine[i]); less != more {
			return less
		}
	}
	return false
}

func (v Versions) watched() [3]Seen { return [3]Seen{v.EndpointSlices, v.Nodes, v.Services} }

// Words returns v as numbers for the wire, in the order of comparison of Less.
func (v Versions) Words() [8]uint64 {
	words := [8]uint64{v.Config.Hash, v.Config.Version}
	for i, s := range v.watched() {
		words[2+2*i], words[3+2*i] = s.Changed, s.Complete
	}
	return words
}

// VersionsOf returns the Versions that the numbers from the wire stand for. No node sends a Complete below its Changed;
// VersionsOf raises such a Complete to Changed.
func VersionsOf(words [8]uint64) Versions {
	seen := func(i int) Seen { return Seen{Changed: words[i], Complete: max(words[i], words[i+1])} }
	return Versions{
		Config: ConfigVersion{Hash: words[0], Version: words[1]}, EndpointSlices: seen(2), Nodes: seen(4), Services: seen(6),
	}
}
