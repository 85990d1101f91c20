package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// manyRanges is a document of 10,000 ranges in ten pools, in no order; n says where each one is.
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

// apart puts the ranges apart from each other, since 7919 is a prime; together puts them all in one place.
func apart(i int) int    { return i * 7919 % 10_000 }
func together(i int) int { return 0 }

// TestTenThousandRanges has as many problems as there are ranges, not as there are pairs of them.
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

// BenchmarkParseOverlaps has every range overlap every other one.
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
