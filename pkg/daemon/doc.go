// Package daemon provides the common parts of both binaries: flags, exit statuses, logging, version, and the HTTP
// server for metrics, health and status, with the commands that query the server.
//
// The package keeps no package state. BridgeKlog changes klog's sink, which belongs to the whole process; main calls
// BridgeKlog before main starts anything.
package daemon
