package layer2

// Mode selects how the announcer treats an address.
type Mode uint8

// The modes.
const (
	// Answer makes the announcer answer for and announce the address, and report claims of other stations.
	Answer Mode = iota
	// Watch makes the announcer report claims of other stations, and send nothing.
	Watch

	modes
)

// String returns the mode for logs.
func (m Mode) String() string {
	switch m {
	case Answer:
		return "answer"
	case Watch:
		return "watch"
	}
	return "unknown"
}
