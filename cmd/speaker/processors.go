package main

import (
	"time"

	"github.com/lanlord/lanlord/pkg/pace"
)

// A frame that arrives while this process computes on its only processor waits for the end of the computation. So each
// of the following events asks for all processors before the computation.
const (
	// changeNeed follows each event that changes the cluster, and each list or watch.
	changeNeed = 5 * time.Second
	// roundNeed follows the begin of a round on at least manyAddresses. Such a round takes a tenth of a millisecond or
	// more.
	roundNeed     = time.Second
	manyAddresses = 200
	// askedNeed follows a request over HTTP, many frames in a row, and the begin of a garbage collection that gives memory
	// back.
	askedNeed = time.Second
)

// clusterChanged returns the function that the watches call after each change of the cluster.
func (p *program) clusterChanged() func() {
	wake := pace.New(p.wake.Poke)
	return func() {
		p.busy()
		wake.Call()
	}
}

// busy announces work on the state of the cluster.
func (p *program) busy() { p.processors.Need(changeNeed) }

// asked announces short work.
func (p *program) asked() { p.processors.Need(askedNeed) }

// decides announces a round of decisions.
func (p *program) decides(addresses int) {
	if addresses >= manyAddresses {
		p.processors.Need(roundNeed)
	}
}
