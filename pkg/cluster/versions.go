package cluster

// Versions says how far a node has seen the cluster. Two nodes compare their Versions to decide which of them acts on older inputs.
type Versions struct {
	// Config is the configuration in use.
	Config ConfigVersion
	// EndpointSlices, Nodes and Services are the watched kinds. A kind that is not watched is zero.
	EndpointSlices, Nodes, Services Seen
}

// ConfigVersion identifies a configuration.
type ConfigVersion struct {
	// Hash is a hash of the text, 0 for no configuration.
	Hash uint64
	// Version is the resourceVersion of the ConfigMap that held the text, 0 if it is not known. For a text made of several
	// objects, Version is the newest resourceVersion at which the node learned that the objects are as they are.
	Version uint64
}

// Seen says how far a watch of one kind has come. Both numbers are resourceVersions, and Changed is never above Complete.
type Seen struct {
	// Changed is the newest change that the watch has shown: an event of any type, deletions included, or the newest object of a list.
	Changed uint64
	// Complete is the version up to which the watch has shown every change: the version of a list, a bookmark or an event.
	Complete uint64
}

// behind reports whether s lacks a change that o has shown. A larger Complete alone proves nothing: the watches of two nodes get their
// bookmarks at different times.
func (s Seen) behind(o Seen) bool { return o.Changed > s.Complete }

// behind reports whether c is older than o. Equal texts are equal, whatever their versions, and no configuration is older than any.
func (c ConfigVersion) behind(o ConfigVersion) bool {
	switch {
	case c.Hash == o.Hash:
		return false
	case c.Hash == 0 || o.Hash == 0:
		return c.Hash == 0
	}
	return c.Version < o.Version
}

// Less reports whether a node with v has older inputs than a node with o. The first kind in which one of them is behind decides, in the
// order of Config, EndpointSlices, Nodes, Services. Both nodes of a pair come to the same result, and at most one of v.Less(o) and
// o.Less(v) is true. Less is not transitive: each kind has a watch of its own.
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

// Words returns v as numbers for the wire, in the order in which Less compares.
func (v Versions) Words() [8]uint64 {
	words := [8]uint64{v.Config.Hash, v.Config.Version}
	for i, s := range v.watched() {
		words[2+2*i], words[3+2*i] = s.Changed, s.Complete
	}
	return words
}

// VersionsOf returns the Versions of numbers from the wire. It raises a Complete that is below its Changed, which no node sends.
func VersionsOf(words [8]uint64) Versions {
	seen := func(i int) Seen { return Seen{Changed: words[i], Complete: max(words[i], words[i+1])} }
	return Versions{
		Config: ConfigVersion{Hash: words[0], Version: words[1]}, EndpointSlices: seen(2), Nodes: seen(4), Services: seen(6),
	}
}
