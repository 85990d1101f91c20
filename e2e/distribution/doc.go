// Package distribution holds Lanlord to what differs between clusters: how it is installed, and what forwards packets.
//
// A real API server decides about each object, and a real kube-proxy writes real rules, in a network namespace of their own.
package distribution
