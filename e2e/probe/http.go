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
	"syscall"
)

// HTTP requests a page at a fixed rate, however slow the answers, each time on a
// new connection, and reports when there was no answer.
func HTTP(ctx context.Context, load Load) (Traffic, error) {
	client := &http.Client{
		Timeout:   load.Timeout,
		Transport: &http.Transport{DisableKeepAlives: true},
	}
	return load.send(ctx, load.URL, func() (string, error) { return get(client, load.URL) })
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
