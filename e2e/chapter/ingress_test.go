package chapter

import (
	"fmt"
	"maps"
	"strings"
)

// ingress reaches two applications by their paths through an ingress controller's one address, in the clear and encrypted.
func ingress(r *reader) {
	r.deleteAfter("-f", "../addons/traefik.yaml")
	r.run("kubectl apply -f e2e/addons/traefik.yaml")
	addr := r.value("ip")
	r.checkInRange(addr)
	r.run("kubectl create deployment web")
	r.run("openssl req")

	web, shop := r.Pods(r.namespace, "app=web"), r.Pods(r.namespace, "app=shop")
	r.runUntil("curl -sS -m 5 --connect-to ::$ip: http://", byPath(web, shop))
	r.runUntil("curl -sS -m 5 --connect-to ::$ip: --cacert", byPath(web, shop))
	r.runUntil("kubectl get ingress", func(output string) error {
		if strings.TrimSpace(output) != addr {
			return fmt.Errorf("the Ingress has the address %q, want %s", output, addr)
		}
		return nil
	})
	r.run("kubectl delete ingress")
}

// byPath checks that the first of two answers is from the pods behind /web, and the second from those behind /shop.
func byPath(web, shop map[string]string) func(string) error {
	return func(output string) error {
		all := maps.Clone(web)
		maps.Copy(all, shop)
		got, err := answers(output, all)
		if err != nil {
			return err
		}
		if len(got) != 2 {
			return fmt.Errorf("%d answers, want 2", len(got))
		}
		for i, want := range []struct {
			path string
			pods map[string]string
		}{{"/web", web}, {"/shop", shop}} {
			if _, ok := want.pods[got[i].Pod]; !ok || got[i].Path != want.path || got[i].Host != "chapter.example" {
				return fmt.Errorf("answer %+v, want one for %s from %v", got[i], want.path, want.pods)
			}
		}
		return nil
	}
}
