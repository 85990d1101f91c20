package succession

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/handover"
	"github.com/lanlord/lanlord/pkg/membership"
)

// TestInherit carries the addresses and the MAC addresses of each member from one process to the next.
func TestInherit(t *testing.T) {
	held := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}
	links := func(macs ...membership.MAC) (links []membership.Link) {
		for _, mac := range macs {
			links = append(links, membership.Link{MAC: mac})
		}
		return links
	}
	place := handover.Place{Addrs: held, Since: 1796000000, Members: placeMembers([]membership.Member{
		{Name: "self", State: membership.Ready, Links: links(membership.MAC{2, 1})},
		{Name: "other", State: membership.Joining, Links: links(membership.MAC{2, 2}, membership.MAC{2, 3})},
		{Name: "linkless", State: membership.Leaving},
	})}
	place.Members = append(place.Members,
		handover.Member{Name: "odd", MACs: []string{"nonsense", "02:00:00:00:00:00:00:01", "02:04:00:00:00:00"}})
	want := Inheritance{Succeeds: true, Addrs: held, Since: time.Unix(1796000000, 0), Members: []membership.Member{
		{Name: "other", State: membership.Ready, Links: links(membership.MAC{2, 2}, membership.MAC{2, 3})},
		{Name: "linkless", State: membership.Ready},
		{Name: "odd", State: membership.Ready, Links: links(membership.MAC{2, 4})},
	}}
	if got := inherit(place, "self"); !reflect.DeepEqual(got, want) {
		t.Errorf("inherited %+v\nwant      %+v", got, want)
	}
	if got := inherit(handover.Place{}, "self"); !got.Succeeds || !got.Since.IsZero() {
		t.Errorf("inherited %+v from a process of an older release", got)
	}
}
