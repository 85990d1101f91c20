// Package routes decides which routes a node announces to each router, and why not others.
//
// Decide is pure. It has no election for Services with the policy Cluster: every eligible node announces their addresses.
package routes
