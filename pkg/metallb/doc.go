// Package metallb turns MetalLB's custom resources (metallb.io/v1beta1 and v1beta2, of v0.13 and later) into the ConfigMap that
// Lanlord reads, and says of each thing that has no counterpart what became of it.
package metallb
