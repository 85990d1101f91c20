package probe

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

func TestSummariseGaps(t *testing.T) {
	const ms = time.Millisecond
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	gap := func(from, length time.Duration, failed int, open bool) Gap {
		return Gap{Start: start.Add(from), Length: length, Failed: failed, Open: open}
	}
	tests := []struct {
		name     string
		outcomes string // one request every 10 ms: . succeeded, x failed
		gaps     []Gap
		longest  time.Duration
	}{
		{"none", "....", nil, 0},
		{"no request at all", "", nil, 0},
		{"from the last success to the next", "..xx.", []Gap{gap(10*ms, 30*ms, 2, false)}, 30 * ms},
		{"failed from the beginning", "xx..", []Gap{gap(0, 20*ms, 2, false)}, 20 * ms},
		{"failed until the end", ".xx", []Gap{gap(0, 20*ms, 2, true)}, 20 * ms},
		{"never succeeded", "xxx", []Gap{gap(0, 20*ms, 3, true)}, 20 * ms},
		{"two that share a success", ".x.xx.", []Gap{gap(0, 20*ms, 1, false), gap(20*ms, 30*ms, 2, false)}, 30 * ms},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var results []*result
			for i, outcome := range test.outcomes {
				r := &result{start: start.Add(time.Duration(i) * 10 * ms), pod: "a"}
				if outcome == 'x' {
					r.err = errors.New("down")
				}
				results = append(results, r)
			}
			got := summarise("u", results)
			if !slices.Equal(got.Gaps, test.gaps) {
				t.Errorf("gaps %+v, want %+v", got.Gaps, test.gaps)
			}
			if got.Longest() != test.longest {
				t.Errorf("longest gap %v, want %v", got.Longest(), test.longest)
			}
			if got.Sent != len(test.outcomes) || got.OK+got.Failed != got.Sent || got.Pods["a"] != got.OK || got.Errors["down"] != got.Failed {
				t.Errorf("counts do not add up: %+v", got)
			}
		})
	}
}

func TestHTTPGoesOnWhileAnswersAreLate(t *testing.T) {
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) == 3 {
			<-r.Context().Done() // hangs until the client gives up
			return
		}
		_, _ = w.Write([]byte(`{"pod":"web-1"}`))
	}))
	defer server.Close()
	got, err := HTTP(t.Context(), Load{URL: server.URL, Every: 10 * time.Millisecond, Timeout: 4 * time.Second, For: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	// A closed loop would have sent three.
	if got.Sent < 10 || got.Failed != 1 || got.Errors["timeout"] != 1 || got.Pods["web-1"] != got.OK {
		t.Errorf("traffic %+v, want about 50 requests of which the third timed out", got)
	}
	if len(got.Gaps) != 1 || got.Gaps[0].Length >= 4*time.Second {
		t.Errorf("gaps %+v, want one from the second request to the fourth", got.Gaps)
	}
}

func TestHTTPReportsWhyRequestsFail(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	load := Load{URL: server.URL, Every: 10 * time.Millisecond, Timeout: 20 * time.Second, For: 50 * time.Millisecond}
	got, err := HTTP(t.Context(), load)
	if err != nil || got.OK != 0 || got.Errors["status 404"] != got.Sent {
		t.Errorf("a page that is missing: %+v, %v", got, err)
	}
	server.Close()
	got, err = HTTP(t.Context(), load)
	if err != nil || got.OK != 0 || got.Errors["connection refused"] != got.Sent {
		t.Errorf("a server that is gone: %+v, %v", got, err)
	}
}

func TestInstants(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name   string
		failed [][2]int // start and end of each failed request, in ms
		want   int
	}{
		{"none", nil, 0},
		{"one", [][2]int{{0, 1}}, 1},
		{"under way together", [][2]int{{0, 30}, {10, 25}, {20, 40}}, 1},
		{"one begins as another ends", [][2]int{{0, 10}, {10, 20}}, 1},
		{"one after another", [][2]int{{0, 9}, {10, 19}, {20, 29}}, 3},
		{"a long one spans two short ones", [][2]int{{0, 50}, {10, 15}, {20, 25}}, 2},
	} {
		results := []*result{{start: start, end: start.Add(time.Second)}} // succeeded, and does not count
		for _, f := range test.failed {
			results = append(results, &result{
				start: start.Add(time.Duration(f[0]) * time.Millisecond),
				end:   start.Add(time.Duration(f[1]) * time.Millisecond),
				err:   errors.New("reset"),
			})
		}
		if got := instants(results); got != test.want {
			t.Errorf("%s: %d instants, want %d", test.name, got, test.want)
		}
	}
}
