// Package agent carries commands and files between a test and a virtual machine, over one stream of bytes.
package agent
