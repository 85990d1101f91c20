package chapter

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// loadBalancer gives Services addresses out of the ConfigMap's range until it is used up. TestWalkThrough of package e2e goes the
// same way on IPv6 too, measures it, and looks at the wire.
func loadBalancer(r *reader) {
	r.run("kubectl create deployment web")
	shown := strings.Fields(r.run("kubectl get services web shop"))
	if len(shown) != 4 || shown[0] != "web" || shown[2] != "shop" || shown[1] == shown[3] {
		r.t.Fatalf("shown are %q, want web and shop, each with its address", shown)
	}
	r.checkInRange(shown[1])
	r.checkInRange(shown[3])
	r.run("web=")
	web := r.Pods(r.namespace, "app=web")
	r.runUntil("for i in $(seq 40)", allCounted(web))
	r.runUntil("for i in $(seq 40)", allCounted(r.Pods(r.namespace, "app=shop")))

	r.run("kubectl patch service web")
	client := strings.TrimSpace(r.MustExec("hostname", "-I"))
	r.runUntil("curl -sS -m 2 -X POST", func(output string) error {
		got, err := answers(output, web)
		if err != nil {
			return err
		}
		if len(got) != 1 || got[0].Method != "POST" || got[0].Path != "/order" || got[0].Host != shown[1] {
			return fmt.Errorf("%+v, want one answer to POST /order", got)
		}
		from, err := netip.ParseAddrPort(got[0].Client)
		if err == nil && !slices.Contains(strings.Fields(client), from.Addr().String()) {
			err = fmt.Errorf("the pod saw %s as its client, want one of %s", from.Addr(), client)
		}
		return err
	})

	r.run("kubectl expose deployment web")
	r.runUntil("kubectl describe service fourth", func(output string) error {
		if !strings.Contains(output, "NoFreeAddress") || !strings.Contains(output, "nginx-ip-range") {
			return fmt.Errorf("want NoFreeAddress and the pool's name")
		}
		return nil
	})
	r.run("kubectl delete service shop")
	if got := strings.TrimSpace(r.run("kubectl get service fourth")); got != shown[3] {
		r.t.Errorf("the waiting Service got %s, want %s, which came free", got, shown[3])
	}
	r.run("kubectl delete service")
}
