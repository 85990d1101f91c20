// Package daemontest holds the helpers that the tests of both programs share.
package daemontest
