// Package bgp keeps a session with each router that it is given, and announces there the routes that it is given.
package bgp
