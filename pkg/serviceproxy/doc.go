// Package serviceproxy finds out whether this node's service proxy has its rules.
package serviceproxy
