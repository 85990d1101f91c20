package allocator_test

import (
	"fmt"
	"net/netip"

	"github.com/lanlord/lanlord/pkg/allocator"
	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

func Example() {
	cfg := &config.Config{Pools: []config.Pool{{
		Name:       "office",
		AutoAssign: true,
		Ranges:     []config.Range{{From: netip.MustParseAddr("192.168.1.20"), To: netip.MustParseAddr("192.168.1.21")}},
	}}}
	service := func(name string) *cluster.Service {
		return &cluster.Service{
			Key: cluster.Key{Namespace: "default", Name: name}, Managed: true, Families: []cluster.Family{cluster.IPv4},
		}
	}

	a := allocator.New(cluster.Snapshot{Config: cfg}, nil)
	web := service("web")
	held, _ := a.Adopt(web, nil, netip.MustParseAddr("192.168.1.20"))
	fmt.Println("web keeps", text(a.Assign(web, []allocator.Assignment{held})))
	for _, name := range []string{"mail", "chat"} {
		r := a.Assign(service(name), nil)
		if r.Refusal != nil {
			fmt.Printf("%s gets nothing, %s: %s\n", name, r.Refusal.Reason, r.Refusal.Message)
			continue
		}
		fmt.Println(name, "gets", text(r))
	}
	// Output:
	// web keeps 192.168.1.20 from pool "office"
	// mail gets 192.168.1.21 from pool "office"
	// chat gets nothing, NoFreeAddress: no IPv4 address is free: pool "office" has 0 of 2
}

// text returns the first address of a result with its pool.
func text(r allocator.Result) string { return string(r.Assignments[0].AppendTo(nil)) }
