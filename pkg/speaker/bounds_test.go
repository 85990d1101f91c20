package speaker

import "time"

// The bounds that the design promises. The tests do not take these figures from the packages under test.
const (
	watchInterval  = 100 * time.Millisecond
	watchCount     = 3
	watchPause     = 80 * time.Millisecond
	lostInterval   = 3 * watchInterval
	lastLook       = time.Second
	darkDelay      = 5 * time.Second
	defendDelay    = time.Second
	disputeWindow  = 5 * time.Second
	defendInterval = 10 * time.Second
	defendPause    = 250 * time.Millisecond
	strangerBound  = 10 * time.Second
	reassurance    = time.Minute
	fewServices    = 10
	yieldBound     = time.Second
	newsQuiet      = time.Second
	quarantineLook = 30 * time.Second
	freshness      = 5 * time.Second
	rulesDelay     = 1200 * time.Millisecond

	standInQuestions = backupQuestions
	standInRate      = backupRate
	standInDelay     = 2 * time.Second
)
