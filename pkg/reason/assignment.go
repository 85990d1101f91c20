package reason

// Assignment is the reason why a Service has its addresses or lacks an address. The word is the reason of the Service's
// condition and of the Event.
type Assignment uint8

// The reasons of an assignment.
const (
	// Assigned: the Service has all required addresses.
	Assigned Assignment = iota
	// InvalidRequest: the request cannot be parsed or contradicts itself.
	InvalidRequest
	// MissingFamily: the Service requires dual stack and has cluster IPs of one family only.
	MissingFamily
	// FamilyMismatch: the address is of a family outside the Service's families.
	FamilyMismatch
	// UnknownPool: the requested pool is not configured.
	UnknownPool
	// PoolNotAllowed: the pool is for other namespaces or Services.
	PoolNotAllowed
	// PoolDisabled: the requested pool assigns no new addresses.
	PoolDisabled
	// PoolLacksFamily: the requested pool has no addresses of a required family.
	PoolLacksFamily
	// AddressOutsidePools: no pool contains the address.
	AddressOutsidePools
	// AddressExcluded: the pool excludes the address.
	AddressExcluded
	// AddressReserved: the configuration reserves the address for other Services.
	AddressReserved
	// AddressTaken: a Node, a gateway, a foreign host or another object of the API server has the address.
	AddressTaken
	// NetworkAddress: the address is the network or the broadcast address of a subnet.
	NetworkAddress
	// AddressInUse: another Service has the address and does not share it.
	AddressInUse
	// NotRequested: the Service requests another address or another pool.
	NotRequested
	// Surplus: the Service has another address of the same family.
	Surplus
	// NoPool: no pool is for this Service.
	NoPool
	// QuotaReached: the namespace has as many addresses as its quota allows.
	QuotaReached
	// NoFreeAddress: all addresses of the Service's pools are in use.
	NoFreeAddress
	// StatusContested: another controller keeps changing the addresses in the status of the Service.
	StatusContested

	// AssignmentCount is the number of Assignment values.
	AssignmentCount = int(StatusContested) + 1
)

var assignmentWords = [AssignmentCount]string{
	"Assigned", "InvalidRequest", "MissingFamily", "FamilyMismatch", "UnknownPool", "PoolNotAllowed", "PoolDisabled",
	"PoolLacksFamily", "AddressOutsidePools", "AddressExcluded", "AddressReserved", "AddressTaken",
	"NetworkAddress", "AddressInUse", "NotRequested", "Surplus", "NoPool", "QuotaReached", "NoFreeAddress",
	"StatusContested",
}

// String returns the word.
func (a Assignment) String() string { return word(assignmentWords[:], a) }

// Assignments returns all values in their order.
func Assignments() []Assignment { return all[Assignment](assignmentWords[:]) }

// ParseAssignment returns the value for a word. ok is false for any other text, for example a word of a later version.
func ParseAssignment(text string) (a Assignment, ok bool) {
	return parse[Assignment](assignmentWords[:], text)
}

// AboutRequest reports whether the Service's own request caused the refusal, so that the owner of the Service can fix
// it. The other refusals follow from the pools and from the other Services.
func (a Assignment) AboutRequest() bool {
	switch a {
	case Assigned, NoPool, QuotaReached, NoFreeAddress, StatusContested:
		return false
	default:
		return true
	}
}
