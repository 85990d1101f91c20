package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Load says what to request and how often.
type Load struct {
	URL     string
	Every   time.Duration // between the starts of two requests, at least 1 ms
	Timeout time.Duration // of one request, connection included
	For     time.Duration // 0: until the context ends
}

// HTTP requests a page at a fixed rate, however slow the answers, each time on a
// new connection, and reports when there was no answer.
func HTTP(ctx context.Context, load Load) (Traffic, error) {
	if load.Every < time.Millisecond || load.Timeout < load.Every || load.For < 0 {
		return Traffic{}, fmt.Errorf("no load: every %v, timeout %v, for %v", load.Every, load.Timeout, load.For)
	}
	if load.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, load.For)
		defer cancel()
	}
	client := &http.Client{
		Timeout:   load.Timeout,
		Transport: &http.Transport{DisableKeepAlives: true},
	}
	var (
		results []*result // in order of their start; each is written by its request alone
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
			r.pod, r.err = get(client, load.URL)
			<-places
		})
		next.Reset(time.Until(start.Add(time.Duration(len(results)) * load.Every)))
	}
	pending.Wait()
	return summarise(load.URL, results), nil
}

// get returns the name of the pod that answered, if the page tells one as command echo's does.
func get(client *http.Client, url string) (pod string, err error) {
	response, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %d", response.StatusCode)
	}
	var page struct{ Pod string }
	_ = json.Unmarshal(body, &page) // another page is an answer too
	return page.Pod, nil
}

// reason makes one word or two of an error, so that equal ones can be counted.
func reason(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET):
		return "connection reset"
	case errors.Is(err, syscall.EHOSTUNREACH):
		return "no route to host"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	}
	text := err.Error()
	return text[strings.LastIndex(text, ": ")+1:]
}
