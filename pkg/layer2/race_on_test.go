//go:build race

package layer2

// raceEnabled reports whether the tests run with the race detector.
const raceEnabled = true
