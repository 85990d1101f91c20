package pace

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
		p := &Pacer{to: func() { passed = append(passed, time.Since(start)) }}
		for range 80 { // each 10 ms
			p.Call()
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Second)
		p.Call()
		p.Call()
		time.Sleep(time.Second)
		synctest.Wait()
		want := []time.Duration{
			0, apiPause, 3 * apiPause, 7 * apiPause, 11 * apiPause, 15 * apiPause, 19 * apiPause,
			1800 * time.Millisecond, 1800*time.Millisecond + apiPause,
		}
		if !slices.Equal(passed, want) {
			t.Errorf("passed on after %v, want %v", passed, want)
		}
	})
}
