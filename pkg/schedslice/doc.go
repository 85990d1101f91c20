// Package schedslice requests short time slices from the kernel for this process.
package schedslice
