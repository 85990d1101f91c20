package bgp

import "github.com/lanlord/lanlord/pkg/bgp/session"

// The states of a session.
const (
	Idle        = session.Idle
	Connect     = session.Connect
	Active      = session.Active
	OpenSent    = session.OpenSent
	OpenConfirm = session.OpenConfirm
	Established = session.Established
)

// The reasons why a session is not established, as pkg/bgp/session explains them.
const (
	None                  = session.None
	Refused               = session.Refused
	NoRoute               = session.NoRoute
	Timeout               = session.Timeout
	PasswordMissing       = session.PasswordMissing
	PasswordWrong         = session.PasswordWrong
	PasswordUnexpected    = session.PasswordUnexpected
	WrongASN              = session.WrongASN
	HoldTimeExpired       = session.HoldTimeExpired
	BFDDown               = session.BFDLost
	OtherSpeaker          = session.OtherSpeaker
	Notified              = session.Notified
	ConnectionLost        = session.ConnectionLost
	BadMessage            = session.BadMessage
	NoRouterAdvertisement = session.NoRouterAdvertisement
	Changed               = session.Changed
	Stopped               = session.Stopped
	SendHoldExpired       = session.SendHoldExpired

	// ReasonCount is the number of Reason values.
	ReasonCount = session.ReasonCount
)
