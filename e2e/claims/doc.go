// Package claims tests against a real API server that the controller does not assign addresses of other objects, and that
// Services keep working addresses.
package claims
