package controller

import "github.com/lanlord/lanlord/pkg/cluster"

// change describes a Service that differs between two snapshots. was is nil for a new Service, is for a deleted
// Service.
type change struct{ was, is *cluster.Service }

// changes returns the differences between the Services of two snapshots, sorted by Key. Snapshots share the pointers of
// unchanged Services, so the comparison is cheap.
func changes(was, is []*cluster.Service) []change {
	if len(was) > 0 && len(was) == len(is) && &was[0] == &is[0] {
		return nil
	}
	var list []change
	for len(was) > 0 && len(is) > 0 {
		if was[0] == is[0] {
			was, is = was[1:], is[1:]
			continue
		}
		switch c := was[0].Key.Compare(is[0].Key); {
		case c < 0:
			list = append(list, change{was: was[0]})
			was = was[1:]
		case c > 0:
			list = append(list, change{is: is[0]})
			is = is[1:]
		default:
			list = append(list, change{was[0], is[0]})
			was, is = was[1:], is[1:]
		}
	}
	for _, svc := range was {
		list = append(list, change{was: svc})
	}
	for _, svc := range is {
		list = append(list, change{is: svc})
	}
	return list
}
