// Package kube reads the API server's objects as a [cluster.Snapshot] and writes what a plan asks for. It is the only package that uses
// client-go.
//
// A [Store] keeps no Kubernetes objects. It converts each object as it arrives from a watch and compares the result with the previous one,
// so that the heartbeat of a Node or a change of managed fields costs no memory and wakes no reader.
//
// All methods of Store may be called from any goroutine. The goroutines of the watches call Options.Wake, with no lock held; it must not
// block. Snapshots are immutable and share what has not changed.
//
// # Old, missing and wrong inputs
//
// No input that is missing or not valid replaces one that was valid before:
//
//	input                       missing or not valid                              read before
//	the user's ConfigMap        the newest valid configuration of this process,   stays in use
//	                            of lanlord-state, or of the previous process
//	MetalLB's resources         the same, for the set as a whole                  stays in use
//	lanlord-state, config       no fallback                                       stays the fallback
//	lanlord-state, nodes        Nodes have no MACs                                stay
//	a Pod's networks            the facts count for ten more minutes              the same
//	the Secret of the gossip    no keys                                           the last keys stay
//	a Secret with passwords     no password, and a reason                         the last passwords stay
//
// Snapshot.Versions tells other nodes how old the rest is.
//
// # Rights
//
// The rights of each component. "In its namespace" is the namespace of --namespace.
//
//	component   where             resource                            verbs               only these names
//	both        cluster           services                            list, watch
//	both        cluster           events                              create, patch
//	both        in its namespace  configmaps                          list, watch         that of --config-map, lanlord-state
//	controller  cluster           services/status                     patch
//	controller  cluster           namespaces, nodes                   list, watch
//	controller  cluster           gateway.networking.k8s.io/gateways  list, watch
//	controller  in its namespace  secrets, configmaps                 create
//	controller  in its namespace  configmaps                          patch               lanlord-state
//	controller  in its namespace  pods                                list, watch
//	controller  in its namespace  coordination.k8s.io/leases          create
//	controller  in its namespace  coordination.k8s.io/leases          get, update         that given to Lead
//	speaker     cluster           nodes                               list, watch
//	speaker     cluster           discovery.k8s.io/endpointslices     list, watch
//	speaker     in its namespace  secrets                             list, watch         lanlord-gossip, lanlord-bgp
//	speaker     in its namespace  pods/status                         patch
//
// With Options.MetalLB the ConfigMap of --config-map is not read, nor Secrets in the namespace of Lanlord. These rights take
// their place, in the namespace of MetalLB's resources:
//
//	component   resource                                              verbs               only these names
//	both        metallb.io/ipaddresspools, l2advertisements,          list, watch
//	            bgpadvertisements, bgppeers, communities,
//	            bfdprofiles, addresspools
//	speaker     secrets                                               list, watch         those of the BGPPeers
//
// A configuration may name other Secrets than lanlord-bgp. Each of them needs the same right.
//
// A component that sets Options.Nodes, Options.Namespaces, Options.Speakers, Options.Endpoints, Options.Secret or Options.Gateways needs
// the rights for it. With Options.Gateways, the Store also works without the right.
package kube
