package reason

// Unshared is the reason why a Service cannot share the address of another Service.
type Unshared uint8

// The reasons why two Services cannot share an address. When several apply, the first in the following order counts.
const (
	// NotMeant: the Service has no sharing key. NotMeant is the zero value.
	NotMeant Unshared = iota
	// NoSharingKey: the other Service has no sharing key.
	NoSharingKey
	// OtherSharingKey: the other Service has another sharing key.
	OtherSharingKey
	// SamePort: both Services have a port in common.
	SamePort
	// OtherTrafficPolicy: the Services differ in externalTrafficPolicy.
	OtherTrafficPolicy
	// OtherNamespace: the Services are in different namespaces. Either the pool forbids sharing across namespaces, or
	// both Services have externalTrafficPolicy Local, so that no node is sure to have endpoints of both.
	OtherNamespace
	// OtherSelector: both Services have externalTrafficPolicy Local, and their selectors differ.
	OtherSelector
	// Leaving: the other Service is about to lose the address.
	Leaving

	// UnsharedCount is the number of Unshared values.
	UnsharedCount = int(Leaving) + 1
)

var unsharedWords = [UnsharedCount]string{
	"NotMeant", "NoSharingKey", "OtherSharingKey", "SamePort", "OtherTrafficPolicy", "OtherNamespace", "OtherSelector", "Leaving",
}

// String returns the word.
func (u Unshared) String() string { return word(unsharedWords[:], u) }

// UnsharedReasons returns all values in their order.
func UnsharedReasons() []Unshared { return all[Unshared](unsharedWords[:]) }

// ParseUnshared returns the value for a word. ok is false for any other text.
func ParseUnshared(text string) (u Unshared, ok bool) { return parse[Unshared](unsharedWords[:], text) }
