// Package routertest is a router in memory: the other side of a BGP session, with a table of its own, for tests.
//
// The router checks each message against the RFCs, and keeps what it finds wrong in Violations. It reads with the codec
// of GoBGP and with checks of its own, not with package wire, so that an error in wire does not hide itself.
package routertest
