// Package checksum computes the Internet checksum of RFC 1071.
package checksum
