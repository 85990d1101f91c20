// Package claims proves against a real API server that the controller gives no address that another object has, and keeps those that
// work.
package claims
