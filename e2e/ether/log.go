package ether

import (
	"slices"
	"sync"
	"time"
)

// Log keeps claims. Several goroutines may call the methods; the zero Log is empty.
type Log struct {
	// mu guards the other fields. changed is closed by the next Add; nil if nobody waits.
	mu      sync.Mutex
	claims  []Claim
	changed chan struct{}
}

// Add adds a claim.
func (l *Log) Add(c Claim) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.claims = append(l.claims, c)
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// Since returns the claims that arrived at or after a time, in the order of their arrival.
func (l *Log) Since(t time.Time) []Claim {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.since(t)
}

// Watch returns the claims as Since does, and a channel that is closed by the next claim.
func (l *Log) Watch(t time.Time) ([]Claim, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return l.since(t), l.changed
}

func (l *Log) since(t time.Time) []Claim {
	var claims []Claim
	for _, c := range l.claims {
		if !c.At.Before(t) {
			claims = append(claims, c)
		}
	}
	return sorted(claims)
}

// Take removes all claims, and returns them in the order of their arrival.
func (l *Log) Take() []Claim {
	l.mu.Lock()
	defer l.mu.Unlock()
	claims := l.claims
	l.claims = nil
	return sorted(claims)
}

// sorted sorts claims by their arrival.
func sorted(claims []Claim) []Claim {
	slices.SortStableFunc(claims, func(a, b Claim) int { return a.At.Compare(b.At) })
	return claims
}
