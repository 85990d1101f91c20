package reason

// Watch is the reason why a node does not answer for an announced address.
type Watch uint8

// The reasons of a node that watches.
const (
	// NotElected: the election names another node.
	NotElected Watch = iota
	// NotEligible: the node is not eligible; an Exclusion says why.
	NotEligible
	// Asking: the election names this node, and this node probes whether any host answers.
	Asking
	// Waiting: the election names this node, and this node leaves the address with the present owner for now.
	Waiting
	// ForeignHost: a foreign host answers for the address, or the kernel of a node that should not have the address.
	ForeignHost
	// Outdated: the election names this node, and the present owner has seen changes of the cluster that this node has
	// not seen.
	Outdated
	// Unconfigured: the election names this node. This node has no valid configuration, so it takes no address from
	// another node.
	Unconfigured
	// NoRules: the election names this node, and another node gets no answer from the Service through this node. Most
	// likely the service proxy of this node has no rules for the address.
	NoRules

	// WatchCount is the number of Watch values.
	WatchCount = int(NoRules) + 1
)

var (
	watchWords = [WatchCount]string{"NotElected", "NotEligible", "Asking", "Waiting", "ForeignHost", "Outdated", "Unconfigured",
		"NoRules"}
	watchTexts = [WatchCount]string{
		"the election names another node",
		"this node is not eligible",
		"this node asks on the wire whether any host answers",
		"this node leaves the address with its present owner for now",
		"a host outside the cluster answers for the address, or the kernel of a node that should not have it",
		"the present owner has seen changes of the cluster that this node has not seen",
		"this node has no valid configuration, and takes no address from another node",
		"the service proxy of this node has no rules for the address: another node gets no answer through this node",
	}
)

// String returns the word.
func (w Watch) String() string { return word(watchWords[:], w) }

// Text returns a clause for people.
func (w Watch) Text() string { return word(watchTexts[:], w) }

// Watches returns all values in their order.
func Watches() []Watch { return all[Watch](watchWords[:]) }

// ParseWatch returns the value for a word. ok is false for any other text.
func ParseWatch(text string) (w Watch, ok bool) { return parse[Watch](watchWords[:], text) }
