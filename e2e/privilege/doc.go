// Package privilege proves that neither daemon has a right that it could do without: every rule of its roles is taken away in turn,
// against a real API server, and something must break.
package privilege
