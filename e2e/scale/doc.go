// Package scale measures what many Services cost: a real API server (package controlplane), the real controller, and speakers
// in network namespaces (package wire), with Services by the thousand and Nodes by the hundred, most of which are objects
// only. Nothing else of a cluster runs, so what is measured is Lanlord and the API server.
//
// Times are by the clock on a machine that all of this shares. CPU is the time that the kernel gave to a process's threads,
// memory what of it was resident.
package scale
