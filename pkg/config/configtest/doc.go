// Package configtest has what the tests of everything that reads manifests share: files of manifests, each with its result.
package configtest
