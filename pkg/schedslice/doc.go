// Package schedslice asks the kernel for short time slices for this process.
package schedslice
