package main

import (
	"cmp"
	"net"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/lanlord/lanlord/pkg/inspect"
)

// speakerPorts are the flags of the speaker that name a port of its node, with their defaults.
var speakerPorts = [...]struct{ flag, otherwise string }{
	{"listen", ":7572"}, {"status-listen", "127.0.0.1:7573"}, {"gossip-port", "7950"},
}

// portUsers returns the speakers among Pods of Lanlord, with the ports that they use on their nodes.
func portUsers(pods []corev1.Pod) (users []inspect.PortUser) {
	for i := range pods {
		pod := &pods[i]
		if pod.Labels[componentLabel] != speakerComponent || pod.Spec.NodeName == "" || !pod.Spec.HostNetwork ||
			len(pod.Spec.Containers) == 0 {
			continue
		}
		u := inspect.PortUser{Namespace: pod.Namespace, Workload: pod.Name, Node: pod.Spec.NodeName}
		if len(pod.OwnerReferences) > 0 {
			u.Workload = pod.OwnerReferences[0].Name
		}
		for _, p := range speakerPorts {
			value := flagOf(&pod.Spec.Containers[0], p.flag, p.otherwise)
			_, port, _ := net.SplitHostPort(value) // --gossip-port has no host
			if number, err := strconv.Atoi(cmp.Or(port, value)); err == nil && number > 0 {
				u.Ports = append(u.Ports, inspect.SpeakerPort{Port: number, Flag: "--" + p.flag})
			}
		}
		users = append(users, u)
	}
	return users
}
