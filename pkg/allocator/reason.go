package allocator

// Reason says in one word why a Service has an address or not. The word is the reason of the Service's condition and of
// the Event about it.
type Reason uint8

// The reasons.
const (
	// Assigned is the reason of a Service that has what it needs.
	Assigned Reason = iota
	// InvalidRequest is for a request that cannot be understood; see cluster.Service.RequestProblem.
	InvalidRequest
	// MissingFamily is for a Service that requires dual stack and has cluster IPs of less than two families.
	MissingFamily
	// FamilyMismatch is for an address of a family that the Service does not have.
	FamilyMismatch
	// UnknownPool is for a requested pool that is not configured.
	UnknownPool
	// PoolSetAside is for a requested pool of a protocol that is checked and not used.
	PoolSetAside
	// PoolNotAllowed is for a pool that is for other namespaces or Services.
	PoolNotAllowed
	// PoolDisabled is for a requested pool that gives no more addresses.
	PoolDisabled
	// PoolLacksFamily is for a requested pool without addresses of a family that the Service needs.
	PoolLacksFamily
	// AddressOutsidePools is for an address that no pool contains.
	AddressOutsidePools
	// AddressExcluded is for an address that its pool leaves out.
	AddressExcluded
	// AddressReserved is for an address that is kept for other Services.
	AddressReserved
	// AddressTaken is for an address that something else on the network has.
	AddressTaken
	// NetworkAddress is for the network or the broadcast address of a subnet.
	NetworkAddress
	// AddressInUse is for an address that another Service holds.
	AddressInUse
	// NotRequested is for an address that is not, or no longer, the one that the Service requests, or not of the pool.
	NotRequested
	// Surplus is for a second address of one family.
	Surplus
	// NoPool is for a Service that none of the pools is for.
	NoPool
	// QuotaReached is for a Service whose namespace has as many addresses as it may have.
	QuotaReached
	// NoFreeAddress is for a Service whose pools are all in use.
	NoFreeAddress

	// Reasons is how many there are.
	Reasons = int(NoFreeAddress) + 1
)

var reasonNames = [Reasons]string{
	"Assigned", "InvalidRequest", "MissingFamily", "FamilyMismatch", "UnknownPool", "PoolSetAside", "PoolNotAllowed",
	"PoolDisabled", "PoolLacksFamily", "AddressOutsidePools", "AddressExcluded", "AddressReserved", "AddressTaken",
	"NetworkAddress", "AddressInUse", "NotRequested", "Surplus", "NoPool", "QuotaReached", "NoFreeAddress",
}

// String returns the reason as one word in CamelCase.
func (r Reason) String() string { return reasonNames[r] }

// AboutRequest is true for the reasons that the Service's own request brought about, so that its owner can mend them; the
// others follow from the pools and from what else is in the cluster.
func (r Reason) AboutRequest() bool {
	switch r {
	case Assigned, NoPool, QuotaReached, NoFreeAddress:
		return false
	default:
		return true
	}
}

// Refusal says why a Service does not get an address, or may not keep one.
//
// Its message states only what stays true as long as the refusal does: sizes, names, "0 of 3 free", but no count that
// other Services change. So a Service that waits is not written again each time another one comes or goes.
type Refusal struct {
	Reason Reason
	// Message is a sentence for people without a full stop, of at most MaxMessage bytes.
	Message string
}

// MaxMessage is the length of the longest message, in bytes. It leaves room for what is said around it in an Event, which
// holds 1,024.
const MaxMessage = 800
