package cluster

// Change describes a Service that differs between two snapshots. Was is nil for a new Service, Is for a deleted
// Service.
type Change struct{ Was, Is *Service }

// Changes returns the differences between two lists of Services, sorted by Key as the lists are. Snapshots share the
// pointers of unchanged Services, so the comparison is cheap.
func Changes(was, is []*Service) []Change {
	if SameList(was, is) {
		return nil
	}
	var list []Change
	for len(was) > 0 && len(is) > 0 {
		if was[0] == is[0] {
			was, is = was[1:], is[1:]
			continue
		}
		switch c := was[0].Key.Compare(is[0].Key); {
		case c < 0:
			list = append(list, Change{Was: was[0]})
			was = was[1:]
		case c > 0:
			list = append(list, Change{Is: is[0]})
			is = is[1:]
		default:
			list = append(list, Change{was[0], is[0]})
			was, is = was[1:], is[1:]
		}
	}
	for _, svc := range was {
		list = append(list, Change{Was: svc})
	}
	for _, svc := range is {
		list = append(list, Change{Is: svc})
	}
	return list
}
