// Package kube reads the API server's objects as a [cluster.Snapshot] and writes the updates of a plan. It is the only
// package that uses client-go.
//
// A [Store] keeps no Kubernetes objects. The Store converts each object when the object arrives from a watch, and
// compares the result with the previous result, so that the heartbeat of a Node or a change of managed fields costs no
// memory and wakes no reader.
//
// Any goroutine may call the methods of Store. The goroutines of the watches call Options.Wake, with no lock held.
// Wake must not block. Snapshots are immutable and share unchanged parts.
//
// # Old, missing and wrong inputs
//
// A missing or invalid input never replaces an earlier valid input:
//
//	input                       missing or invalid                                valid before
//	the user's ConfigMap        the newest valid configuration of this process,   stays in use
//	                            of lanlord-state, or of the previous process
//	MetalLB's resources         the same, for the set as a whole                  stays in use
//	lanlord-state, config       no fallback                                       stays the fallback
//	lanlord-state, nodes        Nodes have no MACs                                stay
//	a Pod's networks            the facts count for ten more minutes              the same
//	the Secret of the gossip    no keys                                           the last keys stay
//	a Secret with passwords     no password, and a reason                         the last passwords stay
//
// Snapshot.Versions tells other nodes the age of the other objects.
//
// # Rights
//
// The table lists the rights of each component. "In its namespace" means the namespace of --namespace.
//
//	component   where             resource                            verbs               only these names
//	both        cluster           services                            list, watch
//	both        cluster           events                              create, patch
//	both        in its namespace  configmaps                          list, watch         --config-map, lanlord-state
//	both        in its namespace  secrets                             get                 lanlord-viewer
//	controller  cluster           services/status                     patch
//	controller  cluster           namespaces, nodes                   list, watch
//	controller  cluster           gateway.networking.k8s.io/gateways  list, watch
//	controller  in its namespace  secrets, configmaps                 create
//	controller  in its namespace  configmaps                          patch               lanlord-state
//	controller  in its namespace  pods                                list, watch
//	controller  in its namespace  coordination.k8s.io/leases          create
//	controller  in its namespace  coordination.k8s.io/leases          get, update         the name given to NewLease
//	speaker     cluster           nodes                               list, watch
//	speaker     cluster           discovery.k8s.io/endpointslices     list, watch
//	speaker     in its namespace  secrets                             list, watch         lanlord-gossip, lanlord-bgp
//	speaker     in its namespace  pods/status                         patch
//
// With Options.MetalLB, the Store reads neither the ConfigMap of --config-map nor Secrets with passwords in the
// namespace of Lanlord. The rights for them are replaced by these rights in the namespace of MetalLB's resources:
//
//	component   resource                                              verbs               only these names
//	both        metallb.io/ipaddresspools, l2advertisements,          list, watch
//	            bgpadvertisements, bgppeers, communities,
//	            bfdprofiles, addresspools
//	speaker     secrets                                               list, watch         the names in the BGPPeers
//
// A configuration may name other Secrets than lanlord-bgp. Each of these Secrets needs the same right.
//
// A component that sets Options.Nodes, Options.Namespaces, Options.Speakers, Options.Endpoints, Options.Secret or
// Options.Gateways needs the rights for the matching watch. With Options.Gateways, the Store also works without the
// right to read Gateways.
package kube
