package wire_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/lanlord/lanlord/e2e/wire"
)

// machineCases have kernels with addresses of Services, and speakers that start at once.
func machineCases() []inputCase {
	return []inputCase{
		{"an address that a node's kernel has is taken by nobody",
			wire.Options{IPv4: 2, IPv6: 1, Layer2: "failback: 2s"}, checkKernelAddress},
		// What is not spread by then moves 22 s after the start, as it does after a minute by default.
		{"addresses are spread within 20 s, and not moved later, although all speakers start at the same time",
			wire.Options{IPv4: 24, IPv6: 6, Layer2: "failback: 22s"}, checkStartAtOnce},
	}
}

// checkKernelAddress gives a node's kernel addresses on the link to the LAN, where it answers for them, and on another link, where
// it is set up not to. Then Services get these addresses.
func checkKernelAddress(t *testing.T, e environment) {
	const node = 2
	e.startAll()
	e.ready(len(e.Nodes()))
	e.must(e.AddCable(node, "uplink0"))
	var answered, silent []netip.Addr
	for i := range 4 {
		six := i%2 == 1
		a, b := wire.PoolAddress(i, six), wire.PoolAddress(10+i, six)
		e.must(e.AddAddress(node, "eth0", netip.PrefixFrom(a, a.BitLen())))
		e.must(e.AddAddress(node, "uplink0", netip.PrefixFrom(b, b.BitLen())))
		answered, silent = append(answered, a), append(silent, b)
	}
	e.must(wire.Pause(t.Context(), 3*time.Second)) // the other nodes hear of them
	e.addrs = slices.Concat(answered, silent)
	h := e.hear(15*time.Second, func() error {
		for i, a := range e.addrs {
			if err := e.AddService(extra+i, a); err != nil {
				return err
			}
		}
		return nil
	})
	for _, a := range answered {
		if stations := h.Stations(a); !slices.Equal(stations, []wire.MAC{e.MACs()[node]}) || h.Dark(a) > unnoticed {
			t.Errorf("%s, which the kernel of node-%d answers for, was claimed by %v and dark for %v", a, node, stations, h.Dark(a))
		}
		if answers, questions := h.Answers(a); answers > questions+1 {
			t.Errorf("%d answers to %d questions for %s: not only the kernel answers", answers, questions, a)
		}
	}
	// Nobody answers for the silent addresses on the LAN. The controller, which this test does not have, hears of them from the annotation of
	// the speaker's Pod and gives none of them to a Service. The node itself claims none.
	for _, a := range silent {
		if stations := h.Stations(a); slices.Contains(stations, e.MACs()[node]) {
			t.Errorf("%s, which the kernel of node-%d has on another link, was claimed by the node, %v", a, node, stations)
		}
	}
	for limit, i := time.Now().Add(5*time.Second), 0; i < len(e.addrs); i++ {
		e.says(time.Until(limit), e.addrs[i].String(), e.Nodes()[node])
	}
}

// startPause is the time between the starts of two speakers that start at the same time, so that one of them is the first.
const startPause = 300 * time.Millisecond

// checkStartAtOnce hears the addresses from the start on: each moves at most once, and is then where it stays.
func checkStartAtOnce(t *testing.T, e environment) {
	ctx, cancel := context.WithTimeout(t.Context(), startBound)
	defer cancel()
	h := e.hear(0, func() error {
		for i := range e.Nodes() {
			if err := errors.Join(e.Start(i, nil), wire.Pause(t.Context(), startPause)); err != nil {
				return err
			}
		}
		<-ctx.Done()
		return nil
	})
	last := wire.Hearing{From: h.To.Add(-2 * time.Second), To: h.To}
	for _, c := range h.Claims {
		if c.At.After(last.From) {
			last.Claims = append(last.Claims, c)
		}
	}
	owners, err := last.Owners(e.addrs)
	e.must(err)
	has := make(map[wire.MAC]int)
	for _, a := range e.addrs {
		has[owners[a]]++
		if stations := h.Stations(a); h.Moves(a) > 1 && len(stations) > 2 || h.Overlap(a) > time.Second {
			t.Errorf("%s was claimed by %v, by two at once for %v", a, stations, h.Overlap(a))
		}
	}
	for i, mac := range e.MACs() {
		if has[mac] == 0 {
			t.Errorf("node-%d has none of the addresses %v after the start; the nodes have %v", i, startBound, has)
		}
	}
	e.unmoved("after all speakers have started at once", e.hear(2*watched, nothing), owners)
}
