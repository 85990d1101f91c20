package daemon

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	// urlPatience is the default of the time in which ProbeURL waits for an answer with status 200: a new Service needs
	// some seconds until its address works in all Pods, and new Pods need some seconds until they are ready.
	urlPatience = time.Minute
	// urlPause is the pause between two requests.
	urlPause = time.Second
)

// ProbeURLCommand runs the command "probe URL [PATIENCE]" of a command line: ProbeURLCommand calls ProbeURL with the
// patience, a minute by default. It returns a *UsageError for other words.
func ProbeURLCommand(ctx context.Context, args []string, stdout io.Writer) error {
	patience := urlPatience
	switch {
	case len(args) == 2:
		var err error
		if patience, err = time.ParseDuration(args[1]); err != nil || patience <= 0 {
			return &UsageError{fmt.Sprintf("invalid patience %q: must be a duration like 60s", args[1])}
		}
	case len(args) != 1:
		return &UsageError{"probe takes the URL of a page, and the longest time to wait for the answer 200, like 60s"}
	}
	return ProbeURL(ctx, args[0], patience, stdout)
}

// ProbeURL requests a page of a process again and again until the answer has status 200 or patience is over, and prints
// the last answer or error to stdout. ProbeURL returns nil for status 200, a *UsageError for a malformed URL, and
// ErrFailed otherwise.
func ProbeURL(ctx context.Context, url string, patience time.Duration, stdout io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if _, err := http.NewRequest(http.MethodGet, url, nil); err != nil {
		return &UsageError{fmt.Sprintf("invalid URL %q", url)}
	}
	client := &http.Client{Timeout: probeTimeout}
	for last := ""; ; {
		text, ok := request(ctx, client, url)
		if ctx.Err() != nil && !ok && last != "" {
			text = last // which says more than the end of the time
		}
		last = text
		if ok || !pause(ctx, urlPause) {
			if _, err := fmt.Fprintln(stdout, text); err != nil {
				return fmt.Errorf("write to standard output: %w", err)
			}
			if !ok {
				return ErrFailed
			}
			return nil
		}
	}
}

// request returns the answer, or the error, and whether the answer has status 200.
func request(ctx context.Context, client *http.Client, url string) (text string, ok bool) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err.Error(), false
	}
	response, err := client.Do(r)
	if err != nil {
		return err.Error(), false
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxProbeAnswer))
	if err != nil {
		return err.Error(), false
	}
	return response.Status + ": " + string(body), response.StatusCode == http.StatusOK
}

// pause reports whether d has passed before ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
