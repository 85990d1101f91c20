package probe

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Load says what to ask and how often.
type Load struct {
	URL     string        // of a page, for HTTP
	Target  string        // host and port of a server that sends each datagram back (RFC 862), for Datagrams
	Every   time.Duration // between the starts of two questions, at least 1 ms
	Timeout time.Duration // of one question, connection included
	For     time.Duration // 0: until the context ends
}

// send asks at a fixed rate, however slow the answers, and reports on the outcomes.
func (load Load) send(ctx context.Context, target string, ask func() (pod string, err error)) (Traffic, error) {
	if load.Every < time.Millisecond || load.Timeout < load.Every || load.For < 0 {
		return Traffic{}, fmt.Errorf("no load: every %v, timeout %v, for %v", load.Every, load.Timeout, load.For)
	}
	if load.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, load.For)
		defer cancel()
	}
	var (
		results []*result // in order of their start; each is written by its question alone
		pending sync.WaitGroup
		// No more can be under way than start within one timeout, unless the machine is
		// overloaded; then the schedule slips, rather than memory growing.
		places = make(chan struct{}, int(load.Timeout/load.Every)+16)
	)
	start := time.Now()
	next := time.NewTimer(0)
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			continue
		case <-next.C:
		}
		places <- struct{}{}
		r := &result{start: time.Now()}
		results = append(results, r)
		pending.Go(func() {
			r.pod, r.err = ask()
			r.end = time.Now()
			<-places
		})
		next.Reset(time.Until(start.Add(time.Duration(len(results)) * load.Every)))
	}
	pending.Wait()
	return summarise(target, results), nil
}
