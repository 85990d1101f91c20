package session

// State is a state of the session machine (RFC 4271, section 8.2.2).
type State uint8

// The states. Active means here to wait for the next attempt to dial, since the speaker never listens.
const (
	Idle State = iota
	Connect
	Active
	OpenSent
	OpenConfirm
	Established

	// StateCount is the number of State values.
	StateCount = int(Established) + 1
)

// String returns the name in RFC 4271.
func (s State) String() string {
	return [StateCount]string{"Idle", "Connect", "Active", "OpenSent", "OpenConfirm", "Established"}[s]
}

// Reason is why a session is not established, in one word for metrics and JSON.
type Reason uint8

// The reasons.
const (
	// None: the session is established, or about to be for the first time.
	None Reason = iota
	// Refused: the router refused the TCP connection.
	Refused
	// NoRoute: the kernel has no route to the router, or not the source address.
	NoRoute
	// Timeout: the router does not answer the TCP connection.
	Timeout
	// PasswordMissing: the router expects a password, or the Secret is missing.
	PasswordMissing
	// PasswordWrong: a segment with another password arrived.
	PasswordWrong
	// PasswordUnexpected: the router does not expect a password.
	PasswordUnexpected
	// WrongASN: the router said another AS number.
	WrongASN
	// HoldTimeExpired: nothing came from the router for the hold time.
	HoldTimeExpired
	// BFDLost: BFD found the router unreachable.
	BFDLost
	// OtherSpeaker: the router has a session with another speaker of this node already (Cease 6/7).
	OtherSpeaker
	// Notified: the router ended the session by a notification.
	Notified
	// ConnectionLost: the TCP connection was closed or reset.
	ConnectionLost
	// BadMessage: the router sent a message that is not valid.
	BadMessage
	// NoRouterAdvertisement: no router advertisement was heard on the interface of an unnumbered session.
	NoRouterAdvertisement
	// Changed: the parameters of the peer have changed.
	Changed
	// Stopped: this speaker ended the session.
	Stopped
	// SendHoldExpired: the router read nothing for too long (RFC 9687).
	SendHoldExpired

	// ReasonCount is the number of Reason values.
	ReasonCount = int(SendHoldExpired) + 1
)

// String returns the word.
func (r Reason) String() string {
	if int(r) >= ReasonCount {
		return "Unknown"
	}
	return [ReasonCount]string{
		"None", "Refused", "NoRoute", "Timeout", "PasswordMissing", "PasswordWrong", "PasswordUnexpected", "WrongASN",
		"HoldTimeExpired", "BFDDown", "OtherSpeaker", "Notified", "ConnectionLost", "BadMessage", "NoRouterAdvertisement",
		"Changed", "Stopped", "SendHoldExpired",
	}[r]
}

// Reasons returns all values in their order.
func Reasons() []Reason {
	all := make([]Reason, ReasonCount)
	for i := range all {
		all[i] = Reason(i)
	}
	return all
}
