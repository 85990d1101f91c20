// Package kube is the cluster as Lanlord sees and writes it: the API server's objects in, [cluster.Snapshot] out, and
// back again the writes that a plan asks for. It is the only package that uses client-go.
//
// A [Store] keeps no Kubernetes objects. Each is converted as it arrives from a watch, and the converted value is compared
// with the one before, so that a Node's heartbeat or a change of managed fields neither costs memory nor wakes anybody.
//
// All methods of Store may be called from any goroutine. Options.Wake is called from the goroutines of the watches, with
// no lock held, and must not block. Snapshots are immutable and share what has not changed.
//
// # Rights
//
// What each component needs, and nothing more. "In its namespace" is that of --namespace.
//
//	component   where             resource                            verbs          only these names
//	both        cluster           services                            list, watch
//	both        cluster           events                              create, patch
//	both        in its namespace  configmaps                          list, watch    that of --config-map
//	controller  cluster           services/status                     patch
//	controller  cluster           namespaces, nodes                   list, watch
//	controller  in its namespace  secrets                             create
//	controller  in its namespace  pods                                list, watch
//	controller  in its namespace  coordination.k8s.io/leases          create
//	controller  in its namespace  coordination.k8s.io/leases          get, update    that given to Lead
//	speaker     cluster           nodes                               list, watch
//	speaker     cluster           discovery.k8s.io/endpointslices     list, watch
//	speaker     in its namespace  secrets                             list, watch    lanlord-gossip
//	speaker     in its namespace  pods/status                         patch
//
// A component that sets Options.Nodes, Options.Namespaces, Options.Speakers, Options.Endpoints or Options.Secret needs the rights for it.
package kube
