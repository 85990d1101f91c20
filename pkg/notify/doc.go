// Package notify turns changes of ownership into as few Kubernetes Events as possible.
//
// A Notifier groups changes by cause and by previous owner, until one second passes without a further change, or five
// seconds have passed since the first change. Up to ten Services get an Event each; for more Services the Node gets one
// Event. Events report changes only, never a lasting state. Sessions does the same for BGP sessions, and for peers of
// the configuration that fit no node. A Notifier and Sessions belong to one goroutine each.
package notify
