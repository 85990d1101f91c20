package reason

// Exclusion is the reason why a node is not eligible to announce an address.
type Exclusion uint8

// The exclusions. When several apply to a node, the first in the following order counts.
const (
	// Eligible: nothing excludes the node. Eligible is the zero value.
	Eligible Exclusion = iota
	// NotANode: the cluster has no Node of this name.
	NotANode
	// Deleting: the Node is being deleted.
	Deleting
	// OutOfService: the Node has the taint node.kubernetes.io/out-of-service.
	OutOfService
	// ExcludedByLabel: the Node has the label node.kubernetes.io/exclude-from-external-load-balancers.
	ExcludedByLabel
	// NetworkUnavailable: the Node has the condition NetworkUnavailable.
	NetworkUnavailable
	// Cordoned: the Node is cordoned, and the configuration says layer2: move-on-cordon.
	Cordoned
	// NoSpeaker: the node has no ready speaker.
	NoSpeaker
	// NoConfiguration: the node's speaker has no configuration, so the speaker takes no address.
	NoConfiguration
	// NoInterface: the node has no network interface that is up.
	NoInterface
	// NotSelected: the pool's node selectors do not match the Node.
	NotSelected
	// NoPoolInterface: the node has none of the pool's interfaces.
	NoPoolInterface
	// NoSubnet: the node has no interface in a subnet that contains the address, and another node has one.
	NoSubnet
	// NoServingEndpoint: the node has no serving endpoint, and the Service has externalTrafficPolicy Local.
	NoServingEndpoint

	// ExclusionCount is the number of Exclusion values.
	ExclusionCount = int(NoServingEndpoint) + 1
)

var (
	exclusionWords = [ExclusionCount]string{
		"Eligible", "NotANode", "Deleting", "OutOfService", "ExcludedByLabel", "NetworkUnavailable", "Cordoned",
		"NoSpeaker", "NoConfiguration", "NoInterface", "NotSelected", "NoPoolInterface", "NoSubnet",
		"NoServingEndpoint",
	}
	exclusionTexts = [ExclusionCount]string{
		"eligible",
		"not a Node of the cluster",
		"being deleted",
		"with the taint node.kubernetes.io/out-of-service",
		"excluded by the label node.kubernetes.io/exclude-from-external-load-balancers",
		"with the condition NetworkUnavailable",
		"cordoned (layer2: move-on-cordon)",
		"without a ready speaker",
		"without a configuration",
		"without a network interface that is up",
		"not matched by the pool's node-selectors",
		"without any of the pool's interfaces",
		"without an interface in a subnet that holds the address",
		"without a serving endpoint (externalTrafficPolicy Local)",
	}
)

// String returns the word.
func (e Exclusion) String() string { return word(exclusionWords[:], e) }

// Text returns a part of a sentence after "the node is", or a count of nodes, like "being deleted".
func (e Exclusion) Text() string { return word(exclusionTexts[:], e) }

// Exclusions returns all values in their order, Eligible first.
func Exclusions() []Exclusion { return all[Exclusion](exclusionWords[:]) }

// ParseExclusion returns the value for a word. ok is false for any other text.
func ParseExclusion(text string) (e Exclusion, ok bool) {
	return parse[Exclusion](exclusionWords[:], text)
}
