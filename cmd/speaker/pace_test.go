package main

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestPacer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var passed []time.Duration
		p := &pacer{to: func() { passed = append(passed, time.Since(start)) }}
		for range 12 { // each 10 ms
			p.call()
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Second)
		p.call()
		synctest.Wait()
		want := []time.Duration{0, apiPause, 2 * apiPause, 3 * apiPause, 1120 * time.Millisecond}
		if !slices.Equal(passed, want) {
			t.Errorf("passed on after %v, want %v", passed, want)
		}
	})
}
