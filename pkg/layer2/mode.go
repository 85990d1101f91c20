package layer2

// Mode is what the announcer does about an address.
type Mode uint8

// The modes.
const (
	// Answer has the address answered for and announced, and what others claim of it heard.
	Answer Mode = iota
	// Watch has what others claim of the address heard, and nothing sent.
	Watch

	modes
)

// String returns the mode as it stands in logs.
func (m Mode) String() string {
	switch m {
	case Answer:
		return "answer"
	case Watch:
		return "watch"
	}
	return "unknown"
}
