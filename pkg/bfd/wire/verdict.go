package wire

// Verdict is the result of the checks of a received packet.
type Verdict uint8

// The verdicts. The order of the constants from Truncated to Authenticated is the order of the checks.
const (
	Accepted Verdict = iota
	// Truncated: the datagram ends before the length field.
	Truncated
	// BadVersion: the version is not 1.
	BadVersion
	// BadLength: the length field is below 24, below 26 with an authentication section, or above the datagram's length.
	BadLength
	// ZeroMultiplier: the detect multiplier is 0.
	ZeroMultiplier
	// Multipoint: the M bit is set.
	Multipoint
	// ZeroDiscriminator: My Discriminator is 0.
	ZeroDiscriminator
	// UnknownSession: no session has the discriminator, or the address when the discriminator is 0.
	UnknownSession
	// LostDiscriminator: Your Discriminator is 0 in state Init or Up.
	LostDiscriminator
	// Authenticated: the packet has an authentication section. No session uses authentication.
	Authenticated
	// BadTTL: the TTL is not 255 (RFC 5881, section 5), or below the minimum of a multihop session (RFC 5883, section
	// 3).
	BadTTL
	// BadInterface: the packet arrived at another interface than the session's.
	BadInterface
	// BadSource: the packet has the discriminator of a session with another address.
	BadSource

	// VerdictCount is the number of Verdict values.
	VerdictCount = int(BadSource) + 1
)

// String returns one word for each verdict, for metrics.
func (v Verdict) String() string {
	return [VerdictCount]string{"Accepted", "Truncated", "BadVersion", "BadLength", "ZeroMultiplier", "Multipoint",
		"ZeroDiscriminator",
		"UnknownSession", "LostDiscriminator", "Authenticated", "BadTTL", "BadInterface", "BadSource"}[v]
}
