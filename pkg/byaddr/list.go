package byaddr

import (
	"net/netip"
	"slices"
)

// Change adds or replaces the item of one address in a list. With Gone, the change removes the item.
type Change[T any] struct {
	Addr netip.Addr
	Item T
	Gone bool
}

// Patch returns a list with the changes. The list and the changes are sorted by address, with each address at most
// once; addr returns the address of an item. The given list stays as it is, and is the result if nothing changes. The
// cost is that of a copy of the list, and of a search for each change.
func Patch[T any](list []T, changes []Change[T], addr func(T) netip.Addr) []T {
	if len(changes) == 0 {
		return list
	}
	next := make([]T, 0, len(list)+len(changes))
	for _, c := range changes {
		i, found := slices.BinarySearchFunc(list, c.Addr, func(x T, a netip.Addr) int { return addr(x).Compare(a) })
		next = append(next, list[:i]...)
		if list = list[i:]; found {
			list = list[1:]
		}
		if !c.Gone {
			next = append(next, c.Item)
		}
	}
	return append(next, list...)
}
