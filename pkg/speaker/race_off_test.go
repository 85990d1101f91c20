//go:build !race

package speaker

// raceEnabled reports whether the tests run with the race detector.
const raceEnabled = false
