package main

import (
	"net/netip"
	"reflect"
	"testing"

	"github.com/lanlord/lanlord/pkg/handover"
	"github.com/lanlord/lanlord/pkg/membership"
)

// TestPlaceIsKept tells the process that follows what it needs: the addresses, and who has which MAC address.
func TestPlaceIsKept(t *testing.T) {
	held := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}
	links := func(macs ...membership.MAC) (links []membership.Link) {
		for _, mac := range macs {
			links = append(links, membership.Link{MAC: mac})
		}
		return links
	}
	place := placeOf(held, []membership.Member{
		{Name: "self", State: membership.Ready, Links: links(membership.MAC{2, 1})},
		{Name: "other", State: membership.Joining, Links: links(membership.MAC{2, 2}, membership.MAC{2, 3})},
		{Name: "linkless", State: membership.Leaving},
	})
	if !reflect.DeepEqual(place.Addrs, held) {
		t.Errorf("the place has %v, want %v", place.Addrs, held)
	}
	place.Members = append(place.Members, handover.Member{Name: "odd", MACs: []string{"nonsense", "02:00:00:00:00:00:00:01", "02:04:00:00:00:00"}})
	want := []membership.Member{
		{Name: "other", State: membership.Ready, Links: links(membership.MAC{2, 2}, membership.MAC{2, 3})},
		{Name: "linkless", State: membership.Ready},
		{Name: "odd", State: membership.Ready, Links: links(membership.MAC{2, 4})},
	}
	if got := knownOf(place, "self"); !reflect.DeepEqual(got, want) {
		t.Errorf("known are %v\nwant %v", got, want)
	}
}
