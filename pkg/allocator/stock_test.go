package allocator

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/lanlord/lanlord/pkg/config"
)

// TestSizes compares the sizes of stocks with the sizes that pkg/config computes, for ranges of any width.
func TestSizes(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 2_000 {
		first, second := random.Uint32(), random.Uint32()
		if random.IntN(2) == 0 {
			second = first + random.Uint32N(1000)
		}
		from, to := v4(min(first, second)), v4(max(first, second))
		p := config.Pool{Name: "a", Ranges: []config.Range{{From: from, To: to}}, AvoidBuggyIPs: random.IntN(2) == 0}
		got := newPool(&p)
		v4, _ := p.Size()
		if want, _ := v4.Float64(); got.v4.size != want || got.v6.size != 0 {
			t.Fatalf("%s-%s avoid=%t: %.0f and %.0f addresses, want %.0f and 0", from, to, p.AvoidBuggyIPs, got.v4.size, got.v6.size, want)
		}
	}
	for prefix, want := range map[string]float64{
		"fd00::/64": 1 << 64, "fd00::/120": 256, "fd00::5/128": 1, "fd00::/32": 1 << 96, "fd00::ffff:ffff:ffff:0/112": 65536,
	} {
		r := rangeOf(netip.MustParsePrefix(prefix))
		if got := newStock([]config.Range{r}, false).size; got != want {
			t.Errorf("%s has %.0f addresses, want %.0f", prefix, got, want)
		}
	}
	across := config.Range{From: netip.MustParseAddr("fd00::ffff:ffff:ffff:fffe"), To: netip.MustParseAddr("fd00:0:0:1::2")}
	if got := newStock([]config.Range{across}, false).size; got != 5 {
		t.Errorf("%s has %.0f addresses, want 5", across, got)
	}
}

func v4(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

// rangeOf returns all addresses of a prefix.
func rangeOf(p netip.Prefix) config.Range {
	last := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < len(last)*8; bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	to, _ := netip.AddrFromSlice(last)
	return config.Range{From: p.Masked().Addr(), To: to}
}
