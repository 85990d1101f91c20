package kube

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/config"
)

const (
	delayed     = "allocation: {withdraw-delay: 10m}\n"
	wide        = "address-pools:\n- {name: lan, protocol: layer2, addresses: [10.0.0.1-10.0.0.9]}\n"
	narrow      = "address-pools:\n- {name: lan, protocol: layer2, addresses: [10.0.0.1-10.0.0.4]}\n"
	narrower    = "address-pools:\n- {name: lan, protocol: layer2, addresses: [10.0.0.1-10.0.0.2]}\n"
	atOnce      = "allocation: {withdraw-delay: 0s}\n"
	lastAddress = "10.0.0.9"
)

// runBeside runs another Store in the bubble of inBubble. If leads is true, the Store ends the delays and keeps the
// state. stop ends the Store.
func runBeside(t *testing.T, api *fakeAPI, leads bool) (s *Store, stop func()) {
	t.Helper()
	s = New(Options{
		Client: api, Namespace: "lanlord-system", ConfigMap: "config", Component: "lanlord-test", Host: "beside",
		Nodes: true, Namespaces: true, Speakers: leads, Log: slog.New(slog.DiscardHandler),
	})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	run := func(task func(context.Context) error) {
		wg.Go(func() {
			if err := task(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	run(s.Run)
	if err := s.WaitSynced(t.Context()); err != nil {
		t.Fatal(err)
	}
	if leads {
		run(s.KeepState)
		run(s.EndDelays)
	}
	synctest.Wait()
	return s, sync.OnceFunc(func() { cancel(); wg.Wait() })
}

// has reports whether the configuration of s has a pool for the address.
func has(s *Store, addr string) bool {
	return s.Snapshot().Config.PoolOf(netip.MustParseAddr(addr)) != nil
}

// ends returns the ends of the delays, counted from start.
func ends(s *Store, start time.Time) (list []time.Duration) {
	for _, p := range s.Snapshot().Config.Past {
		list = append(list, p.Until.Sub(start))
	}
	return list
}

// TestWithdrawDelay checks that addresses stay in the leading controller and in a reader such as a speaker: exactly for
// the delay of each change, even over a restart of the controller.
func TestWithdrawDelay(t *testing.T) {
	api := newFakeAPI(configMap(delayed + wide))
	inBubble(t, api, func(t *testing.T, speaker *Store, _ *counter, _ *lines) {
		leader, stop := runBeside(t, api, true)
		expect := func(when string, want map[string]bool) {
			t.Helper()
			synctest.Wait()
			for addr, want := range want {
				if l, s := has(leader, addr), has(speaker, addr); l != want || s != want {
					t.Errorf("%s, %s is in a pool: leader %t, speaker %t, want %t", when, addr, l, s, want)
				}
			}
		}
		time.Sleep(time.Minute)
		start := time.Now()
		api.put(configMap(delayed + narrow))
		expect("right after the change", map[string]bool{lastAddress: true, "10.0.0.4": true})
		if got, want := ends(leader, start), []time.Duration{10 * time.Minute}; !slices.Equal(got, want) {
			t.Errorf("the delays end after %v, want %v", got, want)
		}
		if leader.Snapshot().ConfigState.Known {
			t.Error("the leader takes the change for one that was told of")
		}

		time.Sleep(4 * time.Minute)
		api.put(configMap(narrower)) // without the key, the key of the previous document counts
		expect("after another change", map[string]bool{lastAddress: true, "10.0.0.4": true})
		time.Sleep(time.Minute)

		stop()
		time.Sleep(time.Minute)
		leader, stop = runBeside(t, api, true)
		defer stop()
		if got, want := ends(leader, start), []time.Duration{14 * time.Minute, 10 * time.Minute}; !slices.Equal(got, want) {
			t.Errorf("after a restart the delays end after %v, want %v", got, want)
		}
		if !leader.Snapshot().ConfigState.Known {
			t.Error("the configuration is as good as new after a restart")
		}
		time.Sleep(time.Until(start.Add(10*time.Minute - time.Second)))
		expect("before the end of the first delay", map[string]bool{lastAddress: true, "10.0.0.4": true})
		time.Sleep(2 * time.Second)
		expect("after the end of the first delay", map[string]bool{lastAddress: false, "10.0.0.4": true})
		time.Sleep(4 * time.Minute)
		expect("after the end of the second delay", map[string]bool{lastAddress: false, "10.0.0.4": false, "10.0.0.2": true})
		if data, _ := api.kept(); data[statePast] != "" {
			t.Errorf("still kept: %s", data[statePast])
		}
	})
}

// TestWithdrawDelayWithoutController changes the configuration while no controller runs. A speaker continues to
// announce, and the delay begins when a controller sees the change, once.
func TestWithdrawDelayWithoutController(t *testing.T) {
	api := newFakeAPI(configMap(delayed+wide), stateMap("config", delayed+wide, "config-version", "42"))
	inBubble(t, api, func(t *testing.T, speaker *Store, _ *counter, _ *lines) {
		api.put(configMap(delayed + narrow))
		late, stop := runBeside(t, api, false)
		defer stop()
		time.Sleep(time.Hour)
		if !has(speaker, lastAddress) || !has(late, lastAddress) {
			t.Error("a speaker drops an address that no controller has withdrawn")
		}
		begin := time.Now()
		for range 3 {
			_, stop := runBeside(t, api, true)
			time.Sleep(3 * time.Minute)
			stop()
		}
		leader, stop := runBeside(t, api, true)
		defer stop()
		if got := ends(leader, begin); len(got) != 1 || got[0] > 10*time.Minute || got[0] < 10*time.Minute-2*time.Second {
			t.Errorf("after three restarts the delay ends after %v, want 10m", got)
		}
		time.Sleep(2 * time.Minute)
		if has(leader, lastAddress) || has(speaker, lastAddress) || has(late, lastAddress) {
			t.Error("the delay has no end")
		}
	})
}

// TestWithdrawDelayChanges reverts a change, repeats the change, ends its delay by hand, and makes changes that
// withdraw nothing.
func TestWithdrawDelayChanges(t *testing.T) {
	api := newFakeAPI(configMap(delayed + wide))
	inBubble(t, api, func(t *testing.T, speaker *Store, _ *counter, _ *lines) {
		leader, stop := runBeside(t, api, true)
		defer stop()
		start := time.Now()
		change := func(when, text string, has bool, want ...time.Duration) {
			t.Helper()
			api.put(configMap(text))
			synctest.Wait()
			for _, s := range []*Store{leader, speaker} {
				if got := ends(s, start); !slices.Equal(got, want) {
					t.Errorf("%s the delays end after %v, want %v", when, got, want)
				}
				if got := s.Snapshot().Config.PoolOf(netip.MustParseAddr(lastAddress)) != nil; got != has {
					t.Errorf("%s %s is in a pool: %t", when, lastAddress, got)
				}
			}
			time.Sleep(time.Minute)
		}
		change("after a change,", delayed+narrow, true, 10*time.Minute)
		change("taken back,", delayed+wide, true)
		change("with another comment,", delayed+wide+"# a comment\n", true)
		change("made again,", delayed+narrow, true, 13*time.Minute)
		change("with a longer delay,", strings.Replace(delayed, "10m", "1h", 1)+narrow, true, 63*time.Minute)
		change("after a change of something else,", strings.Replace(delayed, "10m", "1h", 1)+narrow+"layer2: {ping: false}\n", true, 63*time.Minute)
		change("at once,", atOnce+narrow, false)
		change("smaller without a delay,", atOnce+narrower, false)
		if has(leader, "10.0.0.4") {
			t.Error("an address stays without a delay")
		}
		change("without any pool,", "address-pools: []\nallocation: {withdraw-all: true, withdraw-delay: 5m}\n", false, 13*time.Minute)
		if !has(leader, "10.0.0.2") {
			t.Error("withdraw-all does not heed the delay")
		}
	})
}

// TestParsePast parses entries of lanlord-state from a person or another version.
func TestParsePast(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", ""},
		{"[]", ""},
		{`{}`, "cannot unmarshal object"},
		{`[{"config":"address-pools: 7","since":"2026-01-02T03:04:05Z","delay":"1m"}]`, "a past configuration: line 1"},
		{`[{"config":"","since":"2026-01-02T03:04:05Z","delay":"1x"}]`, "the delay of a past configuration: "},
		{`[{"config":"","since":"2026-01-02T03:04:05Z","delay":"25h"}]`, "at most 24h, and is 25h0m0s"},
		{`[{"config":"","since":"2026-01-02T03:04:05Z","delay":"0s"}]`, "must be more than 0s"},
		{`[{"config":"","since":"soon","delay":"1m"}]`, "cannot parse"},
		{"[" + strings.Repeat("{},", 16) + "{}]", "there are 17 past configurations"},
	} {
		list, err := parsePast(test.text)
		if len(list) > 0 || (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s is read as %v, %v, want an error with %q", test.text, list, err, test.want)
		}
	}
}

// TestFormatPast leaves out the oldest configurations when there is no room for all.
func TestFormatPast(t *testing.T) {
	var list []past
	for i, text := range []string{narrower, narrow, wide} {
		cfg, err := config.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, past{&accepted{cfg, text, uint64(9 - i)}, time.Unix(int64(100-i), 0), time.Minute})
	}
	all, left := formatPast(list, 10_000)
	if left != 0 {
		t.Fatalf("%d do not fit", left)
	}
	text, left := formatPast(list, len(all)-1)
	read, err := parsePast(text)
	if err != nil || left != 1 || !slices.EqualFunc(read, list[:2], past.same) {
		t.Errorf("%d left out, and %v is read, %v", left, read, err)
	}
	if text, left := formatPast(list, -1); text != "" || left != 3 {
		t.Errorf("without room: %q, %d left out", text, left)
	}
}

// FuzzParsePast checks that no entry makes the parser panic, and that formatPast and parsePast restore every parsed
// entry.
func FuzzParsePast(f *testing.F) {
	f.Add(`[{"config":"address-pools: []","config-version":"17","since":"2026-01-02T03:04:05Z","delay":"10m0s"}]`)
	// These entries have odd numbers.
	f.Add(`[{"config":"","config-version":"x","since":"2026-01-02T03:04:05.5+02:00","delay":"1ns","more":{}},{}]`)
	f.Fuzz(func(t *testing.T, text string) {
		list, err := parsePast(text)
		if err != nil {
			return
		}
		written, left := formatPast(list, 1<<30)
		again, err := parsePast(written)
		if err != nil || left != 0 || !slices.EqualFunc(again, list, past.same) {
			t.Errorf("%q is read as %v, written as %q, and read as %v, %v", text, list, written, again, err)
		}
	})
}
