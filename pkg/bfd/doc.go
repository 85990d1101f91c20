// Package bfd tells within milliseconds whether a neighbour still forwards packets (RFC 5880, 5881, 5883).
package bfd
