//go:build race

package layer2

// raceEnabled says that the tests run with the race detector.
const raceEnabled = true
