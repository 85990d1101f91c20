// Package kindsoak is the kind cluster as a place for a soak: the API server with etcd, kubelets and kube-proxy, Lanlord as a user
// applies it, pods behind the Services, and a client that asks for their addresses and requests pages from them.
package kindsoak
