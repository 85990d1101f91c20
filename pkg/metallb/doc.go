// Package metallb converts MetalLB's custom resources (metallb.io/v1beta1 and v1beta2, of v0.13 and later) into
// Lanlord's ConfigMap, and reports the result for each feature without a counterpart.
package metallb
