package reason

// Announcement is the reason why no node should announce an address, or Announced.
type Announcement uint8

// The reasons of an announcement.
const (
	// Announced: the elected node announces the address.
	Announced Announcement = iota
	// NoEndpoints: no endpoint of the address's Services is ready or serving.
	NoEndpoints
	// NoEligibleNode: endpoints exist, but no node is eligible.
	NoEligibleNode
	// NotInPool: no pool of the configuration contains the address. The controller is about to replace the address.
	NotInPool
	// NodeAddress: the address belongs to a Node, and the configuration allows such addresses. The kernel of the node
	// answers.
	NodeAddress

	// AnnouncementCount is the number of Announcement values.
	AnnouncementCount = int(NodeAddress) + 1
)

var (
	announcementWords = [AnnouncementCount]string{"Announced", "NoEndpoints", "NoEligibleNode", "NotInPool", "NodeAddress"}
	announcementTexts = [AnnouncementCount]string{
		"the elected node announces the address",
		"no endpoint of the Service is ready or serving",
		"no node is eligible",
		"no pool of the configuration contains the address",
		"the address is a node's own, and the kernel of the node answers",
	}
)

// String returns the word.
func (a Announcement) String() string { return word(announcementWords[:], a) }

// Text returns a clause for people.
func (a Announcement) Text() string { return word(announcementTexts[:], a) }

// Announcements returns all values in their order.
func Announcements() []Announcement { return all[Announcement](announcementWords[:]) }

// ParseAnnouncement returns the value for a word. ok is false for any other text.
func ParseAnnouncement(text string) (a Announcement, ok bool) {
	return parse[Announcement](announcementWords[:], text)
}
