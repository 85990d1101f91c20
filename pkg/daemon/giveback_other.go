//go:build !linux

package daemon

// forget does nothing: only Linux tells which mappings a process has.
func forget(mapping) {}
