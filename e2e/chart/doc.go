// Package chart holds the Helm chart to the manifests that users of kubectl apply.
package chart
