// Package pace merges frequent wake-ups.
package pace
