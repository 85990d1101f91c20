// Package serviceproxy finds out whether this node's service proxy has its rules.
//
// A node takes no address before its service proxy can forward what clients send to the address.
package serviceproxy
