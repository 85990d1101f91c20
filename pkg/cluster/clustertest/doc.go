// Package clustertest holds helpers for the tests of packages that decide on a cluster.
package clustertest
