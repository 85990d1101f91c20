package probe

import (
	"fmt"
	"slices"
	"time"
)

// Traffic reports on requests at a fixed rate.
type Traffic struct {
	URL    string         `json:"url"`
	Sent   int            `json:"sent"`
	OK     int            `json:"ok"`
	Failed int            `json:"failed"`
	Gaps   []Gap          `json:"gaps"`
	Pods   map[string]int `json:"pods"`   // answers by pod
	Errors map[string]int `json:"errors"` // failures by reason
	// Instants is the least number of instants at which all failed requests were under way. What breaks connections at one
	// instant, as the move of an address does, makes it one, however many requests that fails; a time without an answer makes
	// it as many as requests began and ended in it.
	Instants int `json:"instants"`
}

// Gap is a time in which no request succeeded although some were sent.
type Gap struct {
	// Start is when the last successful request before it started, or, if there is
	// none, the first request.
	Start time.Time `json:"start"`
	// Length reaches to the start of the first successful request after it, or, if
	// there is none, of the last request.
	Length time.Duration `json:"length_ns"`
	Failed int           `json:"failed"` // requests within it
	Open   bool          `json:"open"`   // nothing succeeded any more
}

// Longest returns the length of the longest gap, 0 if no request failed.
func (t Traffic) Longest() time.Duration {
	var longest time.Duration
	for _, gap := range t.Gaps {
		longest = max(longest, gap.Length)
	}
	return longest
}

// String is for the log of a test.
func (t Traffic) String() string {
	return fmt.Sprintf("%s: %d of %d requests answered by %d pods, longest gap %v",
		t.URL, t.OK, t.Sent, len(t.Pods), t.Longest().Round(time.Millisecond))
}

// result of one request.
type result struct {
	start, end time.Time
	pod        string
	err        error
}

// summarise counts results, which are in order of their start.
func summarise(url string, results []*result) Traffic {
	t := Traffic{URL: url, Sent: len(results), Pods: map[string]int{}, Errors: map[string]int{}}
	var gap *Gap // the one that is open
	for i, r := range results {
		switch {
		case r.err != nil:
			t.Failed++
			t.Errors[reason(r.err)]++
			if gap == nil {
				gap = &Gap{Start: results[max(i-1, 0)].start}
			}
			gap.Failed++
		default:
			t.OK++
			t.Pods[r.pod]++
			if gap != nil {
				gap.Length = r.start.Sub(gap.Start)
				t.Gaps = append(t.Gaps, *gap)
				gap = nil
			}
		}
	}
	if gap != nil {
		gap.Open = true
		gap.Length = results[len(results)-1].start.Sub(gap.Start)
		t.Gaps = append(t.Gaps, *gap)
	}
	t.Instants = instants(results)
	return t
}

// instants chooses the end of a failed request that ends first, leaves out all that were under way then, and so on.
func instants(results []*result) int {
	var failed []*result
	for _, r := range results {
		if r.err != nil {
			failed = append(failed, r)
		}
	}
	slices.SortFunc(failed, func(a, b *result) int { return a.end.Compare(b.end) })
	n := 0
	var chosen time.Time
	for _, r := range failed {
		if n == 0 || r.start.After(chosen) {
			n, chosen = n+1, r.end
		}
	}
	return n
}
