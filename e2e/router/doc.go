// Package router has real routers as judges of the speakers' BGP: the Debian packages of FRR, BIRD, OpenBGPD and GoBGP,
// each in a network namespace of package wire's laboratory. The package reads sessions, routing tables and kernel
// routes as values, notes changes of kernel routes, and sends datagrams through the routers at a fixed rate.
//
// FRR and BIRD write routes into their kernel; OpenBGPD does not on Linux, and gobgpd never does.
package router
