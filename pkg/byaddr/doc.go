// Package byaddr has collections of addresses that readers share: a change makes a new collection, at the cost of the
// changed part.
package byaddr
