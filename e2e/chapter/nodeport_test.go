package chapter

import (
	"context"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanlord/lanlord/e2e/lab"
)

// nodePort reaches pods through every node, on a port of the reader's choice and on one of Kubernetes' choice.
func nodePort(r *reader) {
	r.run("kubectl create deployment web")
	nodes := r.Nodes()
	r.runUntil("nodes=", answered(r.Pods(r.namespace, "app=web"), len(nodes)))

	r.run("kubectl scale deployment web --replicas=3")
	pods := r.Pods(r.namespace, "app=web")
	if len(pods) != 3 {
		r.t.Fatalf("pods %v, want 3", pods)
	}
	r.runUntil("for i in $(seq 40)", allCounted(pods))
	for _, node := range nodes {
		r.MeetAllPods(lab.URL(node.IPv4, 30000), r.namespace, "app=web")
	}

	r.run("kubectl expose deployment web --type=NodePort")
	r.runUntil("curl -sS -m 2 http://$node:$port/", answered(pods, 1))

	nodePortOfLoadBalancer(r, pods)
	r.run("kubectl delete service")
}

// nodePortOfLoadBalancer has a Service of type LoadBalancer with a node port, takes that away, and has one without from the start.
func nodePortOfLoadBalancer(r *reader, pods map[string]string) {
	r.t.Helper()
	r.run("kubectl expose deployment web --type=LoadBalancer")
	r.runUntil("curl -sS -m 2 http://$ip/ http://$node:$port/", answered(pods, 2))
	addr := r.value("ip")
	r.checkService("web-lb", addr, true)

	r.run("kubectl patch service web-lb")
	r.runUntil("curl -sS -m 2 http://$ip/", answered(pods, 1))
	r.checkService("web-lb", addr, false)
	closed := fmt.Sprintf("http://%s:%s/", r.value("node"), r.value("port"))
	r.WaitFor(closed+" to be closed", patience, func(context.Context) error {
		if page, err := r.Get(closed); err == nil {
			return errors.New(page)
		}
		return nil
	})

	r.run("kubectl apply -f -")
	r.runUntil("curl -sS -m 2 http://$ip/", answered(pods, 1))
	r.checkService("web-plain", r.value("ip"), false)
}

// checkService checks that a Service has this address, and whether it has a node port.
func (r *reader) checkService(name, addr string, nodePort bool) {
	r.t.Helper()
	s, err := r.Clientset.CoreV1().Services(r.namespace).Get(r.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	if i := s.Status.LoadBalancer.Ingress; len(i) != 1 || i[0].IP != addr {
		r.t.Errorf("%s has the addresses %+v, want %s", name, i, addr)
	}
	if port := s.Spec.Ports[0].NodePort; (port != 0) != nodePort {
		r.t.Errorf("%s has node port %d, want one: %t", name, port, nodePort)
	}
	r.checkInRange(addr)
}
