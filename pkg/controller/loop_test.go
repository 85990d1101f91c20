package controller

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/reason"
)

const threeAddresses = `address-pools:
- {name: office, protocol: layer2, addresses: [192.168.1.10-192.168.1.12]}
`

// start runs a controller on the fake until the test ends or the test calls stop. stop waits for the end of the
// controller.
func start(t *testing.T, f *fakeAPI) (c *Controller, stop func()) { return startWith(t, f, f) }

// startWith runs a controller that reads the cluster from source.
func startWith(t *testing.T, f *fakeAPI, source Source) (c *Controller, stop func()) {
	c = New(Options{Source: source, Writer: f, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Registerer: f.registry,
		AddressMetrics: f.registry != nil})
	f.wake = c.Wake
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run returned %v", err)
		}
	}
	t.Cleanup(stop)
	synctest.Wait()
	return c, stop
}

// inBubble runs a test in a bubble of testing/synctest, with a fake API server.
func inBubble(t *testing.T, body func(t *testing.T, f *fakeAPI)) {
	synctest.Test(t, func(t *testing.T) { body(t, newFakeAPI(t, threeAddresses)) })
}

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if want = strings.TrimSpace(want); got != want {
		t.Errorf("%s:\n%s\nwant\n%s", what, got, want)
	}
}

func TestLoopAssignsAndTells(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeAPI) {
		c, _ := start(t, f)
		f.apply("web", nil)
		f.deliver()
		synctest.Wait()
		expect(t, "after a Service came", f.took(), `
web = [192.168.1.10]
web Assigned: 192.168.1.10 from pool "office"`)
		if s := c.Summary(); s.Pools[0].Used != 1 || s.Services[reason.Assigned] != 1 {
			t.Errorf("summary %+v", s)
		}
		for range 3 {
			f.deliver()
			synctest.Wait()
		}
		expect(t, "after resyncs", f.took(), "")
		f.remove("web")
		f.deliver()
		synctest.Wait()
		expect(t, "after the Service went", f.took(), "")
	})
}

// TestLoopHandsOn releases an address by a write, and expects that the waiting Service gets the address without another
// wake-up.
func TestLoopHandsOn(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeAPI) {
		for _, name := range []string{"a", "b", "c", "waits"} {
			f.apply(name, nil)
		}
		f.deliver()
		start(t, f)
		f.took()
		f.apply("b", func(svc *cluster.Service) { svc.Managed = false })
		f.deliver()
		synctest.Wait()
		expect(t, "after b changed its type", f.took(), `
b = []
b Released: 192.168.1.11: the Service is no longer of type LoadBalancer with a cluster IP and this controller's class
waits = [192.168.1.11]
waits Assigned: 192.168.1.11 from pool "office"`)
	})
}

// TestLoopTellsBefore withdraws an address. The controller sends one Event before the write and one Event after the
// write. Retries of a failed write repeat no Event.
func TestLoopTellsBefore(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeAPI) {
		c, _ := start(t, f)
		f.apply("web", nil)
		f.deliver()
		synctest.Wait()
		f.took()
		f.breakWrites(func(cluster.Update) fault { return fails })
		f.configure(strings.Replace(threeAddresses, "[192.168.1.10-", "[192.168.1.11-", 1))
		c.Wake()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		expect(t, "while the write fails", f.took(), `
config ConfigAccepted: in use, with 1 pool of 2 IPv4 and 0 IPv6 addresses: pool "office" with 192.168.1.11-192.168.1.12
web Withdrawing: 192.168.1.10 is about to be withdrawn: no pool contains 192.168.1.10 (pools: "office"); 192.168.1.11 is to take its place`)
		f.apply("web", nil)
		f.breakWrites(func(cluster.Update) fault { return works })
		f.deliver()
		synctest.Wait()
		expect(t, "when it succeeds", f.took(), `
web = [192.168.1.11]
web Withdrawn: 192.168.1.10 is withdrawn: no pool contains 192.168.1.10 (pools: "office"); 192.168.1.11 takes its place
web Assigned: 192.168.1.11 from pool "office"
config AddressesWithdrawn: 1 Service has lost an address that the configuration no longer gives: default/web`)
		f.configure(threeAddresses)
		f.apply("web", func(svc *cluster.Service) { svc.Ingress = []netip.Addr{netip.MustParseAddr("10.9.9.9")} })
		f.deliver()
		synctest.Wait()
		_, after, _ := strings.Cut(f.took(), "\n") // the first line is about the configuration
		expect(t, "when it happens anew", strings.Split(after, ":")[0], "web Withdrawing")
		if strings.Contains(after, "config ") {
			t.Errorf("an address that somebody else wrote is blamed on the configuration: %s", after)
		}
	})
}

// TestLoopSharesAtOnce creates Services that share an address at the same time, while the answer to one of the writes
// is lost.
func TestLoopSharesAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeAPI) {
		start(t, f)
		for i, name := range []string{"tcp", "udp", "late"} {
			f.apply(name, func(svc *cluster.Service) {
				svc.SharingKey, svc.Ports = "dns", []cluster.Port{{Protocol: cluster.Protocol(i), Number: 53}}
			})
		}
		f.breakWrites(func(u cluster.Update) fault {
			if u.Key.Name == "tcp" {
				return answerLost
			}
			return works
		})
		f.deliverOnly("tcp")
		f.deliverOnly("udp")
		synctest.Wait()
		f.deliverOnly("late")
		synctest.Wait()
		expect(t, "all", f.status(), "late [192.168.1.10]\ntcp [192.168.1.10]\nudp [192.168.1.10]")
	})
}

// TestLoopConflict changes a Service before the caches show the change. The rejected write is no failure: the next
// snapshot resolves the conflict.
func TestLoopConflict(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeAPI) {
		start(t, f)
		f.apply("web", nil)
		f.deliverOnly("web")
		f.apply("web", func(svc *cluster.Service) { svc.Requested = []netip.Addr{netip.MustParseAddr("192.168.1.12")} })
		synctest.Wait()
		expect(t, "before the caches know", f.took(), "")
		f.deliver()
		synctest.Wait()
		expect(t, "when they do", f.took(), `
web = [192.168.1.12]
web Assigned: 192.168.1.12 from pool "office"`)
	})
}

// TestLoopLostAnswer lets writes take effect but return an error. An older Service that appears in the meantime must
// not get the address that the other Service already has.
func TestLoopLostAnswer(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeAPI) {
		start(t, f)
		f.apply("older", nil)
		f.apply("web", nil)
		f.breakWrites(func(u cluster.Update) fault {
			if u.Key.Name == "web" {
				return answerLost
			}
			return works
		})
		f.deliverOnly("web")
		synctest.Wait()
		f.deliverOnly("older")
		synctest.Wait()
		// The server rejects the retries of web, because the server has a newer version. The rejection does not reveal
		// the result of the first write.
		time.Sleep(5 * time.Second)
		f.deliverOnly("older")
		synctest.Wait()
		expect(t, "with the answer lost", f.status(), "older [192.168.1.11]\nweb [192.168.1.10]")
		f.deliver()
		synctest.Wait()
		expect(t, "when the caches know", f.status(), "older [192.168.1.11]\nweb [192.168.1.10]")
	})
}

// TestLoopBackoff has one Service with failing writes. The controller retries after 0.1, 0.2, 0.4 s and so on, with a
// maximum of one minute. The failures do not delay another Service.
func TestLoopBackoff(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeAPI) {
		var tries []time.Duration
		begin := time.Now()
		f.breakWrites(func(u cluster.Update) fault {
			if u.Key.Name != "bad" {
				return works
			}
			tries = append(tries, time.Since(begin))
			return fails
		})
		f.apply("bad", nil)
		f.deliver()
		start(t, f)
		time.Sleep(time.Second)
		f.apply("good", nil)
		f.deliver()
		synctest.Wait()
		expect(t, "beside the failing one", f.status(), "bad []\ngood [192.168.1.11]")
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		want := []time.Duration{0, 100, 300, 700, 1500, 3100, 6300, 12700, 25500, 51100, 102300, 162300, 222300, 282300}
		for i := range want {
			want[i] *= time.Millisecond
		}
		if !slices.Equal(tries, want) {
			t.Errorf("tried at %v, want %v", tries, want)
		}
		f.breakWrites(func(cluster.Update) fault { return works })
		f.apply("bad", nil)
		f.deliver()
		synctest.Wait()
		expect(t, "a changed Service is tried at once", f.status(), "bad [192.168.1.10]\ngood [192.168.1.11]")
	})
}

// TestLoopHangingWrite has a write that ends only with its timeout. Another Service waits for planTime at most, and no
// other Service gets the address of the write in the meantime.
func TestLoopHangingWrite(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeAPI) {
		f.breakWrites(func(u cluster.Update) fault {
			if u.Key.Name == "hung" {
				return hangs
			}
			return works
		})
		f.apply("hung", nil)
		f.deliver()
		start(t, f)
		time.Sleep(planTime / 2)
		f.apply("web", nil)
		f.deliver()
		time.Sleep(planTime/2 + time.Millisecond)
		synctest.Wait()
		expect(t, "while a write hangs", f.status(), "hung []\nweb [192.168.1.11]")
		f.breakWrites(func(cluster.Update) fault { return works })
		time.Sleep(writeTimeout)
		synctest.Wait()
		expect(t, "when it has ended", f.status(), "hung [192.168.1.10]\nweb [192.168.1.11]")
	})
}

// TestLoopHangingRetry has a write that first fails, and then hangs at each retry. The loop must sleep in the meantime.
func TestLoopHangingRetry(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeAPI) {
		tries := 0
		f.breakWrites(func(cluster.Update) fault {
			if tries++; tries == 1 {
				return fails
			}
			return hangs
		})
		f.apply("web", nil)
		f.deliver()
		start(t, f)
		time.Sleep(time.Minute)
		synctest.Wait()
		// At 0, 0.1, 10.3, 20.7, 31.5, 43.1 and 56.3 s: a write hangs for 10 s, and the backoff doubles from 0.1 s.
		if tries != 7 {
			t.Errorf("%d tries in a minute, want 7", tries)
		}
	})
}

// TestLoopRestart stops the controller and starts another controller, which must neither write nor send Events.
func TestLoopRestart(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeAPI) {
		for _, name := range []string{"a", "b", "c", "waits"} {
			f.apply(name, nil)
		}
		f.deliver()
		_, stop := start(t, f)
		stop()
		f.took()
		writes := f.writes
		start(t, f)
		expect(t, "after a restart", f.took(), "")
		if f.writes != writes {
			t.Errorf("%d writes after a restart", f.writes-writes)
		}
	})
}

// TestLoopResting follows the cool-down of a released address: for one minute no other Service gets the address, but a
// Service with the name of the previous Service does.
func TestLoopResting(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeAPI) {
		c, _ := start(t, f)
		f.apply("web", nil)
		f.deliver()
		synctest.Wait()
		f.remove("web")
		f.deliver()
		synctest.Wait()
		if u := c.Summary().Pools[0]; u.Used != 0 || u.Resting != 1 {
			t.Errorf("right after the release: %+v", u)
		}
		f.apply("other", nil)
		f.apply("web", nil)
		f.deliver()
		synctest.Wait()
		expect(t, "the returned one gets its own", f.status(), "other [192.168.1.11]\nweb [192.168.1.10]")
		f.remove("web")
		f.deliver()
		time.Sleep(time.Minute - time.Millisecond)
		synctest.Wait()
		if u := c.Summary().Pools[0]; u.Resting != 1 {
			t.Errorf("just before the minute is over: %+v", u)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if u := c.Summary().Pools[0]; u.Resting != 0 {
			t.Errorf("nobody woke the loop when the rest was over: %+v", u)
		}
	})
}

// TestLoopOrderOfEvents delivers the same changes in every order, with one wake-up at the end. The result must always
// be the same.
func TestLoopOrderOfEvents(t *testing.T) {
	names := []string{"a", "b", "c", "d"}
	permute(names, func(order []string) {
		inBubble(t, func(t *testing.T, f *fakeAPI) {
			for _, name := range names {
				f.apply(name, nil)
			}
			start(t, f)
			wake := f.wake
			f.wake = func() {}
			for _, name := range order {
				f.deliverOnly(name)
			}
			wake()
			synctest.Wait()
			expect(t, strings.Join(order, " "), f.status(), "a [192.168.1.10]\nb [192.168.1.11]\nc [192.168.1.12]\nd []")
		})
	})
}

// TestLoopOrderOfDeliveries lets the loop run between any two of the changes. The assignments may differ between the
// orders, but every Service gets an address, no Service changes its address, and the Service with a request gets the
// requested address.
func TestLoopOrderOfDeliveries(t *testing.T) {
	names := []string{"a", "b", "gone", "wants"}
	permute(names, func(order []string) {
		inBubble(t, func(t *testing.T, f *fakeAPI) {
			f.configure(strings.Replace(threeAddresses, "12]", "13]", 1))
			for _, name := range names {
				f.apply(name, nil)
			}
			f.apply("wants", func(svc *cluster.Service) { svc.Requested = []netip.Addr{netip.MustParseAddr("192.168.1.13")} })
			start(t, f)
			for _, name := range order {
				f.deliverOnly(name)
				synctest.Wait()
			}
			before := f.status()
			if strings.Contains(before, "[]") || !strings.Contains(before, "wants [192.168.1.13]") {
				t.Errorf("%v: %s", order, before)
			}
			f.remove("gone")
			f.deliver()
			synctest.Wait()
			for line := range strings.Lines(f.status()) {
				if !strings.Contains(before, strings.TrimSpace(line)) {
					t.Errorf("%v: %s was not there in\n%s", order, line, before)
				}
			}
		})
	})
}

// permute calls use with every order of names.
func permute(names []string, use func([]string)) {
	var place func([]string, []string)
	place = func(done, left []string) {
		if len(left) == 0 {
			use(done)
		}
		for i := range left {
			rest := slices.Delete(slices.Clone(left), i, i+1)
			place(append(slices.Clone(done), left[i]), rest)
		}
	}
	place(nil, names)
}
