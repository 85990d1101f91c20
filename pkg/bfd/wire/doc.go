// Package wire converts BFD control packets to bytes and back (RFC 5880, section 4).
package wire
