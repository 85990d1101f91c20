package kindsoak

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/lanlord/lanlord/e2e/soak"
	"github.com/lanlord/lanlord/e2e/wire"
)

const (
	// requestEvery is the time between two requests to an address, requestTimeout how long one may take: a lost SYN is sent again after 1 s.
	requestEvery   = 400 * time.Millisecond
	requestTimeout = 2500 * time.Millisecond
)

// clients request a page from each address all the time, over a new connection each.
type clients struct {
	of    *soak.Soak
	http  *http.Client
	going sync.WaitGroup
	stops map[netip.AddrPort]context.CancelFunc
}

func newClients(o *wire.Observer, of *soak.Soak) *clients {
	return &clients{of: of, stops: make(map[netip.AddrPort]context.CancelFunc), http: &http.Client{
		Timeout: requestTimeout, Transport: &http.Transport{DisableKeepAlives: true, DialContext: o.Dial},
	}}
}

// run requests from the targets as they are, until ctx ends.
func (c *clients) run(ctx context.Context, targets func() map[netip.AddrPort]bool) {
	defer c.going.Wait()
	for wire.Pause(ctx, 100*time.Millisecond) == nil {
		now := targets()
		for t := range now {
			if c.stops[t] == nil {
				of, stop := context.WithCancel(ctx)
				c.stops[t] = stop
				c.going.Go(func() { c.request(of, t) })
			}
		}
		for t, stop := range c.stops {
			if !now[t] {
				stop()
				delete(c.stops, t)
			}
		}
	}
	for _, stop := range c.stops {
		stop()
	}
}

// request does that of one, again and again.
func (c *clients) request(ctx context.Context, target netip.AddrPort) {
	for ctx.Err() == nil {
		began := time.Now()
		err := c.get(ctx, "http://"+target.String()+"/")
		if ctx.Err() != nil {
			break
		}
		c.of.Requested(target, began, err)
		_ = wire.Pause(ctx, time.Until(began.Add(requestEvery)))
	}
	c.of.Unrequested(target)
}

func (c *clients) get(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", response.Status)
	}
	_, err = io.Copy(io.Discard, response.Body)
	return err
}
