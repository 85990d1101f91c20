// Package configtest holds helpers for the tests of packages that read manifests: files of manifests, each manifest
// with its result.
package configtest
