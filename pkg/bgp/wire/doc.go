// Package wire turns BGP messages into bytes and back, as far as a speaker needs them that only announces routes.
package wire
