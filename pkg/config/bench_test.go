package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// manyRanges returns a document of 10,000 ranges in ten pools; n returns the position of the i-th range.
func manyRanges(n func(i int) int) []byte {
	var text strings.Builder
	text.WriteString("address-pools:\n")
	for i := range 10_000 {
		if i%1000 == 0 {
			fmt.Fprintf(&text, "- name: pool-%d\n  protocol: layer2\n  addresses:\n", i/1000)
		}
		from := netip.AddrFrom4([4]byte{10, byte(n(i) >> 12), byte(n(i) >> 4), byte(n(i) << 4)})
		to := from.As4()
		to[3] += 9
		fmt.Fprintf(&text, "  - %s-%s\n", from, netip.AddrFrom4(to))
	}
	return []byte(text.String())
}

// apart separates the ranges and mixes their order: 7919 is a prime, so all positions differ. together puts all ranges
// at one position.
func apart(i int) int    { return i * 7919 % 10_000 }
func together(i int) int { return 0 }

// TestTenThousandRanges checks that the number of problems grows with the number of ranges, and not with the number of
// pairs.
func TestTenThousandRanges(t *testing.T) {
	config, err := Parse(manyRanges(apart))
	if err != nil || len(config.index.ranges) != 10_000 {
		t.Fatalf("not accepted as it is: %v", err)
	}
	_, err = Parse(manyRanges(together))
	if problems, ok := errors.AsType[*Problems](err); !ok || len(problems.List) != 9_999 {
		t.Errorf("not every range is reported once: %v", err)
	}
}

func BenchmarkParse(b *testing.B) {
	document := manyRanges(apart)
	for b.Loop() {
		if _, err := Parse(document); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParseOverlaps parses a document in which every range overlaps every other range.
func BenchmarkParseOverlaps(b *testing.B) {
	document := manyRanges(together)
	for b.Loop() {
		if _, err := Parse(document); err == nil {
			b.Fatal("accepted")
		}
	}
}

func BenchmarkPoolOf(b *testing.B) {
	config, err := Parse(manyRanges(apart))
	if err != nil {
		b.Fatal(err)
	}
	a := netip.MustParseAddr("10.1.17.35")
	for b.Loop() {
		if config.PoolOf(a) == nil {
			b.Fatal("in no pool")
		}
	}
}
