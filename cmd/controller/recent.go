package main

import (
	"context"
	"time"
)

// recent repeats an answer for a time, so that many requests cost little. Several goroutines may call get.
type recent[T any] struct {
	pause time.Duration
	// turn has room for the goroutine that may use the fields below. last is valid until ends.
	turn chan struct{}
	last T
	ends time.Time
}

func newRecent[T any](pause time.Duration) *recent[T] {
	return &recent[T]{pause: pause, turn: make(chan struct{}, 1)}
}

// get returns the last answer if it is young enough, and otherwise the answer of renew. Only one renew runs at a time.
// Other requests wait for the same answer, so the end of ctx ends the wait of one request, and not renew.
func (r *recent[T]) get(ctx context.Context, renew func(context.Context) (T, error)) (answer T, err error) {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return answer, ctx.Err()
	}
	if time.Now().Before(r.ends) {
		return r.last, nil
	}
	if answer, err = renew(context.WithoutCancel(ctx)); err != nil {
		return answer, err
	}
	r.last, r.ends = answer, time.Now().Add(r.pause)
	return answer, nil
}
