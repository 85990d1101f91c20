package agent

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Client is the test's end of the stream. Several goroutines may use a Client.
type Client struct {
	// writing guards out.
	writing sync.Mutex
	out     *gob.Encoder
	// mu guards the rest. waiting has the jobs without an answer, nil after the end of the stream.
	mu      sync.Mutex
	last    uint64
	waiting map[uint64]chan Answer
}

// ErrGone is the error of a job that the machine has not answered before the stream ended.
var ErrGone = errors.New("the machine is gone")

// NewClient returns a Client of a stream. The Client reads until the stream ends.
func NewClient(stream io.ReadWriter) *Client {
	c := &Client{out: gob.NewEncoder(stream), waiting: map[uint64]chan Answer{}}
	go c.read(gob.NewDecoder(stream))
	return c
}

func (c *Client) read(in *gob.Decoder) {
	for {
		var a Answer
		err := in.Decode(&a)
		c.mu.Lock()
		if err != nil {
			for _, waiter := range c.waiting {
				close(waiter)
			}
			c.waiting = nil
			c.mu.Unlock()
			return
		}
		if waiter := c.waiting[a.ID]; waiter != nil {
			delete(c.waiting, a.ID)
			waiter <- a
		}
		c.mu.Unlock()
	}
}

// Do has the machine do a job and waits for the answer. The error is not nil if there is no answer, or if the machine
// could not do the job. A program's exit status is no error.
func (c *Client) Do(ctx context.Context, r Request) (Answer, error) {
	waiter := make(chan Answer, 1)
	c.mu.Lock()
	if c.waiting == nil {
		c.mu.Unlock()
		return Answer{}, ErrGone
	}
	c.last++
	r.ID = c.last
	c.waiting[r.ID] = waiter
	c.mu.Unlock()
	c.writing.Lock()
	err := c.out.Encode(r)
	c.writing.Unlock()
	if err != nil {
		return Answer{}, fmt.Errorf("%w: %w", ErrGone, err)
	}
	select {
	case <-ctx.Done():
		return Answer{}, fmt.Errorf("wait for the machine: %w", context.Cause(ctx))
	case a, ok := <-waiter:
		switch {
		case !ok:
			return Answer{}, ErrGone
		case a.Problem != "":
			return a, errors.New(a.Problem)
		}
		return a, nil
	}
}
