// Package cluster holds the plain values that every decision is made on: Service, Node and Snapshot.
//
// The values carry no behaviour of Kubernetes and no pointer into a cache. Whoever receives one may keep it, and nobody
// changes one after it was handed out.
package cluster
