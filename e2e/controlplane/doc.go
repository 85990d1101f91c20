// Package controlplane runs a real etcd and a real kube-apiserver as two processes: a cluster of objects, without kubelets,
// controllers or containers. RBAC decides, with the ServiceAccounts and roles of Lanlord's own manifest, so that a right
// that is missing there is missing here too.
//
// The programs are those of the laboratory's node image; binaries.sh compiles them. They end with the process that
// started them.
package controlplane
