package wire

import "strconv"

// State is the state of a session (RFC 5880, section 6.2). The numbers are the numbers in packets.
type State uint8

// The states.
const (
	AdminDown State = iota
	Down
	Init
	Up

	// StateCount is the number of State values.
	StateCount = int(Up) + 1
)

// String returns the state's name in RFC 5880.
func (s State) String() string { return [StateCount]string{"AdminDown", "Down", "Init", "Up"}[s&3] }

// Diagnostic is the reason of a Down (RFC 5880, section 4.1). Values from 9 to 31 are reserved.
type Diagnostic uint8

// The diagnostics.
const (
	NoDiagnostic Diagnostic = iota
	DetectionTimeExpired
	EchoFailed
	NeighborSignaledDown
	ForwardingPlaneReset
	PathDown
	ConcatenatedPathDown
	AdministrativelyDown
	ReverseConcatenatedPathDown

	// DiagnosticCount is the number of Diagnostic values that have a name.
	DiagnosticCount = int(ReverseConcatenatedPathDown) + 1
)

// String returns one word for each diagnostic, for metrics and logs. A reserved value is its number.
func (d Diagnostic) String() string {
	if int(d) >= DiagnosticCount {
		return strconv.Itoa(int(d))
	}
	return [DiagnosticCount]string{"None", "DetectionTimeExpired", "EchoFailed", "NeighborSignaledDown",
		"ForwardingPlaneReset",
		"PathDown", "ConcatenatedPathDown", "AdministrativelyDown", "ReverseConcatenatedPathDown"}[d]
}
