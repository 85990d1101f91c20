// Package release makes the files of a release: the image, the manifests, the chart, the plugin, and what describes them. The same
// commit and Go release make the same files, byte for byte, and nothing but the Go module cache is needed.
package release
