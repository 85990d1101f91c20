package bgp

// String returns the word for metrics, logs and JSON, which is the name of the constant.
func (r Reason) String() string {
	return [...]string{"None", "Refused", "NoRoute", "Timeout", "PasswordMissing", "PasswordWrong", "PasswordUnexpected", "WrongASN",
		"HoldTimeExpired", "BFDDown", "OtherSpeaker", "Notified", "ConnectionLost", "BadMessage", "NoRouterAdvertisement", "Changed",
		"Stopped"}[r]
}
