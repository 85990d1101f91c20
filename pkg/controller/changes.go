package controller

import "github.com/lanlord/lanlord/pkg/cluster"

// change is a Service that differs between two snapshots. One of was and is is nil when it has come or gone.
type change struct{ was, is *cluster.Service }

// changes returns what differs between the Services of two snapshots, sorted by Key. Snapshots share the Services that have
// not changed, so that comparing them costs next to nothing.
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
