package election

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// nodes returns n candidates with names like the nodes of a cluster.
func nodes(n int) []Candidate {
	candidates := make([]Candidate, n)
	for i := range candidates {
		candidates[i] = NewCandidate(fmt.Sprintf("node-%03d", i+1))
	}
	return candidates
}

// addresses returns n consecutive addresses.
func addresses(first string, n int) []netip.Addr {
	addrs := make([]netip.Addr, n)
	addr := netip.MustParseAddr(first)
	for i := range addrs {
		addrs[i], addr = addr, addr.Next()
	}
	return addrs
}

// winner returns the Winner, and fails the test if there is no winner.
func winner(t testing.TB, addr netip.Addr, among []Candidate) Candidate {
	t.Helper()
	won, ok := Winner(addr, among)
	if !ok {
		t.Fatalf("nobody owns %s among %d candidates", addr, len(among))
	}
	return won
}

// TestGolden compares the owners with fixed owners. If TestGolden fails, the new version and the old version disagree,
// and during a rolling update addresses have two owners: the change is wrong, not the test.
func TestGolden(t *testing.T) {
	among := []Candidate{NewCandidate("control-plane"), NewCandidate("worker"), NewCandidate("worker2"), NewCandidate("worker3")}
	for _, test := range []struct{ addr, want string }{
		{"192.168.56.11", "worker"},
		{"192.168.56.12", "worker"},
		{"192.168.56.13", "worker2"},
		{"10.0.0.255", "worker3"},
		{"203.0.113.77", "worker3"},
		{"fd00::1", "worker2"},
		{"fd00::2", "worker3"},
		{"2001:db8:1:2:3:4:5:6", "control-plane"},
	} {
		if got := winner(t, netip.MustParseAddr(test.addr), among).Name(); got != test.want {
			t.Errorf("%s is owned by %s, want %s", test.addr, got, test.want)
		}
	}
}

func TestNobody(t *testing.T) {
	if won, ok := Winner(netip.MustParseAddr("192.0.2.1"), nil); ok {
		t.Errorf("%q owns an address although nobody stands", won.Name())
	}
	if got := Ranked(netip.MustParseAddr("192.0.2.1"), nil); len(got) != 0 {
		t.Errorf("Ranked of nobody is %v", got)
	}
}

func TestOrderOfCandidatesDoesNotMatter(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	among := nodes(9)
	for _, addr := range addresses("10.1.2.0", 300) {
		want, wantRanked := winner(t, addr, among), Ranked(addr, among)
		random.Shuffle(len(among), func(i, j int) { among[i], among[j] = among[j], among[i] })
		if got := winner(t, addr, among); got != want {
			t.Fatalf("%s: owner is %s in one order and %s in another", addr, want.Name(), got.Name())
		}
		if got := Ranked(addr, among); !slices.Equal(got, wantRanked) {
			t.Fatalf("%s: ranks differ with the order of the candidates", addr)
		}
	}
}

// TestRankedIsSuccession checks that each candidate of Ranked wins if all candidates before it are gone, and that the
// loss of any loser moves nothing.
func TestRankedIsSuccession(t *testing.T) {
	for _, addr := range addresses("fd00::", 200) {
		among := nodes(7)
		for _, want := range Ranked(addr, among) {
			if got := winner(t, addr, among); got != want {
				t.Fatalf("%s: %s wins, want %s", addr, got.Name(), want.Name())
			}
			for i, loser := range among {
				if loser == want {
					continue
				}
				others := slices.Delete(slices.Clone(among), i, i+1)
				if got := winner(t, addr, others); got != want {
					t.Fatalf("%s: without the loser %s the owner is %s instead of %s", addr, loser.Name(), got.Name(), want.Name())
				}
			}
			among = slices.DeleteFunc(among, func(c Candidate) bool { return c == want })
		}
	}
}

// TestNewcomerTakesItsShare checks that an additional node takes about 1/n from the others, and that nothing else
// moves.
func TestNewcomerTakesItsShare(t *testing.T) {
	const n, count = 10, 20000
	among := nodes(n)
	newcomer := among[n-1]
	moved := 0
	for _, addr := range addresses("10.20.0.0", count) {
		before, after := winner(t, addr, among[:n-1]), winner(t, addr, among)
		if before == after {
			continue
		}
		if after != newcomer {
			t.Fatalf("%s moved from %s to %s when %s came", addr, before.Name(), after.Name(), newcomer.Name())
		}
		moved++
	}
	// The inputs are fixed, so chance cannot fail this check of the hash's quality.
	if share := float64(moved) * n / count; share < 0.93 || share > 1.07 {
		t.Errorf("the newcomer took %.3f of its share", share)
	}
}

// TestShares checks that no node owns much more or less than its share, for usual address patterns.
func TestShares(t *testing.T) {
	const count = 20000
	strided := make([]netip.Addr, count)
	for i := range strided {
		strided[i] = netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1})
	}
	subnets := make([]netip.Addr, count)
	for i := range subnets {
		subnets[i] = netip.AddrFrom16([16]byte{0: 0xfd, 6: byte(i >> 8), 7: byte(i), 15: 1})
	}
	for _, test := range []struct {
		name  string
		addrs []netip.Addr
	}{
		{"consecutive IPv4", addresses("10.0.0.0", count)},
		{"one address in each IPv4 /24", strided},
		{"consecutive IPv6", addresses("fd00::", count)},
		{"one address in each IPv6 /64", subnets},
	} {
		for _, n := range []int{2, 3, 4, 10, 50} {
			t.Run(fmt.Sprintf("%s/%d nodes", test.name, n), func(t *testing.T) {
				owned := make(map[Candidate]int)
				among := nodes(n)
				for _, addr := range test.addrs {
					owned[winner(t, addr, among)]++
				}
				share := float64(count) / float64(n)
				deviation := math.Sqrt(share * (1 - 1/float64(n)))
				for _, c := range among {
					if off := math.Abs(float64(owned[c])-share) / deviation; off > 4.5 {
						t.Errorf("%s owns %d, %.1f standard deviations from its share of %.0f", c.Name(), owned[c], off, share)
					}
				}
			})
		}
	}
}

// TestEveryBitMatters flips each bit of an address, and checks that about half of the bits of the hash change.
func TestEveryBitMatters(t *testing.T) {
	for _, first := range []string{"::", "fd00::1", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "192.0.2.1"} {
		addr := netip.MustParseAddr(first)
		bytes, start := addr.As16(), 0
		if addr.Is4() {
			start = 96
		}
		for bit := start; bit < 128; bit++ {
			flipped := bytes
			flipped[bit/8] ^= 0x80 >> (bit % 8)
			changed := 0
			for x := addressHash(addr) ^ addressHash(netip.AddrFrom16(flipped)); x != 0; x &= x - 1 {
				changed++
			}
			if changed < 12 || changed > 52 {
				t.Errorf("bit %d of %s changes %d of 64 bits of the hash", bit, addr, changed)
			}
		}
	}
}

// TestSameHash checks that the names decide if the hashes are equal.
func TestSameHash(t *testing.T) {
	a, b := Candidate{name: "a", hash: 7}, Candidate{name: "b", hash: 7}
	for _, among := range [][]Candidate{{a, b}, {b, a}} {
		if got := winner(t, netip.MustParseAddr("192.0.2.1"), among); got != a {
			t.Errorf("%s wins a tie of a and b", got.Name())
		}
	}
}

// TestWeightGoesFirst gives some candidates a weight. The candidates with the weight come first, ranked among
// themselves, and the other candidates follow.
func TestWeightGoesFirst(t *testing.T) {
	light, heavy := nodes(20)[:10], nodes(20)[10:]
	for i, c := range heavy {
		heavy[i] = c.Weighing(5)
	}
	all := slices.Concat(light, heavy)
	for _, addr := range addresses("10.0.0.0", 200) {
		want := slices.Concat(Ranked(addr, heavy), Ranked(addr, light))
		if got := Ranked(addr, all); !slices.Equal(got, want) {
			t.Fatalf("%s: ranked %v, want %v", addr, got, want)
		}
		if got := winner(t, addr, all); got != want[0] {
			t.Errorf("%s: %v wins, want %v", addr, got, want[0])
		}
		for i := range len(want) - 1 {
			if !Outranks(addr, want[i], want[i+1]) || Outranks(addr, want[i+1], want[i]) {
				t.Errorf("%s: %v and %v are not in the order of their ranks", addr, want[i], want[i+1])
			}
		}
	}
}

func TestNoAllocations(t *testing.T) {
	among, addr := nodes(200), netip.MustParseAddr("fd00::1")
	if n := testing.AllocsPerRun(100, func() { winner(t, addr, among) }); n != 0 {
		t.Errorf("Winner allocates %v times", n)
	}
}

// naive implements the definition: score all pairs, sort by score, then by name, and take the first.
func naive(addr netip.Addr, among []Candidate) string {
	type scored struct {
		name  string
		score uint64
	}
	var all []scored
	for _, c := range among {
		all = append(all, scored{c.Name(), mix(addressHash(addr) ^ NewCandidate(c.Name()).hash)})
	}
	slices.SortFunc(all, func(x, y scored) int {
		switch {
		case x.score > y.score:
			return -1
		case x.score < y.score:
			return 1
		case x.name < y.name:
			return -1
		}
		return 1
	})
	return all[0].name
}

func FuzzWinner(f *testing.F) {
	f.Add([]byte{192, 0, 2, 1}, []byte("a\nb\nc"))                            // IPv4
	f.Add([]byte{0xfd, 15: 1}, []byte("node-1\nnode-2"))                      // IPv6
	f.Add([]byte{10: 0xff, 11: 0xff, 15: 9}, []byte("same\nsame"))            // one node twice, 4-in-6
	f.Add([]byte{0, 0, 0, 0}, []byte("\n\n"))                                 // empty names
	f.Add(bytes.Repeat([]byte{0xff}, 16), bytes.Repeat([]byte("node\n"), 20)) // many
	f.Fuzz(func(t *testing.T, raw, names []byte) {
		addr, ok := netip.AddrFromSlice(raw)
		if !ok {
			return
		}
		var among []Candidate
		for name := range bytes.SplitSeq(names, []byte{'\n'}) {
			among = append(among, NewCandidate(string(name)))
		}
		won := winner(t, addr, among)
		if want := naive(addr, among); won.Name() != want {
			t.Fatalf("%s: %q owns it, the definition says %q", addr, won.Name(), want)
		}
		slices.Reverse(among)
		if got := winner(t, addr, among); got != won {
			t.Fatalf("%s: %q owns it, in reverse order %q", addr, won.Name(), got.Name())
		}
		if ranked := Ranked(addr, among); ranked[0] != won || len(ranked) != len(among) {
			t.Fatalf("%s: first of %d ranks is %q, the winner %q", addr, len(ranked), ranked[0].Name(), won.Name())
		}
	})
}

func ExampleWinner() {
	among := []Candidate{NewCandidate("alice"), NewCandidate("bob"), NewCandidate("carol")}
	for _, text := range []string{"192.168.56.11", "192.168.56.12", "192.168.56.13"} {
		owner, _ := Winner(netip.MustParseAddr(text), among)
		fmt.Println(text, owner.Name())
	}
	// Output:
	// 192.168.56.11 carol
	// 192.168.56.12 carol
	// 192.168.56.13 bob
}

// BenchmarkWinner elects the owners of 10,000 addresses among 200 nodes. The budget for the whole decision is 0.1 s.
func BenchmarkWinner(b *testing.B) {
	among, addrs := nodes(200), addresses("10.0.0.0", 10000)
	b.ReportAllocs()
	for b.Loop() {
		for _, addr := range addrs {
			winner(b, addr, among)
		}
	}
}

func BenchmarkNewCandidate(b *testing.B) {
	for b.Loop() {
		NewCandidate("worker-17.example.com")
	}
}

// TestRankIsThePlace compares Rank with the positions in Ranked, also for candidates with different weights.
func TestRankIsThePlace(t *testing.T) {
	among := nodes(9)
	among[3], among[5] = among[3].Weighing(2), among[5].Weighing(1)
	for _, addr := range append(addresses("10.1.2.0", 100), addresses("fd00::", 100)...) {
		for want, c := range Ranked(addr, among) {
			if got := Rank(addr, c, among); got != want {
				t.Fatalf("%s: %s has rank %d, want %d", addr, c.Name(), got, want)
			}
		}
	}
}
