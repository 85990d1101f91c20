// Package clustertest has what the tests of everything that decides on a cluster share.
package clustertest
