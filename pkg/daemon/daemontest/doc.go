// Package daemontest has what the tests of both programs share.
package daemontest
