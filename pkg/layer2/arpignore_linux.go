package layer2

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

var _ arpNetwork = (*host)(nil)

// AnswersForeign implements arpNetwork. An unreadable setting counts as the default of the kernel, and by default the
// kernel answers.
func (h *host) AnswersForeign(name string) bool {
	return !ignoresForeign(max(arpIgnore("all"), arpIgnore(name)))
}

// ignoresForeign reports whether a value of arp_ignore leaves requests for an address of another interface unanswered.
// The kernel applies the greater of the values of "all" and of the interface (Documentation/networking/ip-sysctl.rst).
// The values 1 and 2 require the address on the interface of the request, and 8 leaves every request unanswered. The
// value 3 only leaves out addresses of scope host, and a service proxy gives its addresses the scope global.
func ignoresForeign(value int) bool { return value == 1 || value == 2 || value == 8 }

// arpIgnore returns the setting arp_ignore of an interface, or of "all"; 0 if the setting cannot be read.
func arpIgnore(name string) int {
	text, err := os.ReadFile(filepath.Join("/proc/sys/net/ipv4/conf", name, "arp_ignore"))
	if err != nil {
		return 0
	}
	value, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return value
}
