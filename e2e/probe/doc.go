// Package probe judges a load balancer from outside: it asks the wire who answers
// for an address, and requests pages at a fixed rate to find the gaps.
//
// Command probe runs it on the outside client; the reports are its JSON output.
package probe
