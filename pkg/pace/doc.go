// Package pace merges wake-ups that come too fast.
package pace
