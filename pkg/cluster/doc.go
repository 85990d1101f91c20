// Package cluster holds the plain values that are the inputs and results of every decision: Service, Node and Snapshot.
//
// The values have no methods that call Kubernetes and no pointer into a cache. A receiver may keep a value, and nobody
// changes a value after handing out the value.
package cluster
