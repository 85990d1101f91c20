// Package daemon is what both binaries share: flags, exit statuses, logging, version, and the HTTP server for metrics,
// health and status, with the commands that ask it.
//
// Nothing here keeps package state. The one thing of a whole process that it touches is klog's sink, in BridgeKlog, which
// main calls before it starts anything.
package daemon
