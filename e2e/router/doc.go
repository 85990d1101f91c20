// Package router has real routers as judges of what the speakers announce by BGP: FRR, BIRD, OpenBGPD and GoBGP, as Debian packages
// them, each a process in a network namespace of package wire's laboratory. It reads their sessions, their routing tables and the
// kernel's as values, notes when the kernel's routes change, and sends datagrams from behind them at a fixed rate.
//
// FRR and BIRD write routes into their kernel; OpenBGPD does not on Linux, and gobgpd never does.
package router
