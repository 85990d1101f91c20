// Package serviceproxy finds out whether this node's service proxy has written its rules.
//
// A node takes no address before its service proxy can forward the packets of clients to the address.
package serviceproxy
