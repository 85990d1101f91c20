package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// smapsOf makes an entry as the kernel writes it.
func smapsOf(addresses, permissions, path string, anonymous, swap int) string {
	return fmt.Sprintf("%s %s 00000000 fe:00 1234                       %s\nSize:   1024 kB\nRss:    512 kB\nPrivate_Clean:  500 kB\n"+
		"Private_Dirty:  12 kB\nReferenced:  512 kB\nAnonymous:   %d kB\nSwap: %d kB\nVmFlags: rd ex mr mw me\n", addresses, permissions, path, anonymous, swap)
}

func TestUnwritten(t *testing.T) {
	const program = "/speaker"
	text := smapsOf("00400000-00500000", "r-xp", program, 0, 0) +
		smapsOf("00500000-00600000", "r--p", program, 0, 0) +
		smapsOf("00600000-00610000", "rw-p", program, 0, 0) + // its pages will be written to
		smapsOf("00700000-00710000", "r--p", program, 4, 0) + // relocated
		smapsOf("00800000-00810000", "r--p", program, 0, 4) +
		smapsOf("00900000-00910000", "r-xp", "/lib/libc.so", 0, 0) +
		"c000000000-c000400000 rw-p 00000000 00:00 0\nAnonymous: 0 kB\nSwap: 0 kB\n" +
		"00a00000-00a00000 r--p 00000000 fe:00 1234 /speaker\nAnonymous: 0 kB\nSwap: 0 kB\n" +
		"xyz-00a10000 r--p 00000000 fe:00 1234 /speaker\nAnonymous: 0 kB\nSwap: 0 kB\n" +
		"00b00000-00b10000 r--p 00000000 fe:00 1234 /speaker (deleted)\nAnonymous: 0 kB\nSwap: 0 kB\n"
	want := []mapping{{0x400000, 0x500000}, {0x500000, 0x600000}}
	if got := unwritten(strings.NewReader(text), program); !slices.Equal(got, want) {
		t.Errorf("mappings %x, want %x", got, want)
	}
	for cut := range len(text) { // no input makes more than that of it
		for _, m := range unwritten(strings.NewReader(text[:cut]), program) {
			if !slices.Contains(want, m) {
				t.Fatalf("of %d bytes: mapping %x", cut, m)
			}
		}
	}
}

// fileMemory returns how much of the program's file is in this process, in kB.
func fileMemory(t *testing.T) (kb int) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	_, after, found := strings.Cut(string(text), "\nRssFile:")
	if _, err := fmt.Sscan(after, &kb); err != nil || !found {
		t.Skip("the kernel does not tell of RssFile")
	}
	return kb
}

// TestGiveBackFile takes the pages of this program out of the process, after which the program goes on.
func TestGiveBackFile(t *testing.T) {
	before := fileMemory(t)
	giveBackFile()
	after := fileMemory(t)
	if after >= before {
		t.Errorf("%d kB of the program's file before, %d kB after", before, after)
	}
	t.Logf("%d kB of the program's file before, %d kB after", before, after)
}

func TestGiveBackWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, lasts := range []time.Duration{startOver / 2, 2 * startOver} {
			ctx, cancel := context.WithTimeout(t.Context(), lasts)
			began := time.Now()
			if err := GiveBack(func() {})(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != lasts {
				t.Errorf("ended after %v of %v: %v", time.Since(began), lasts, err)
			}
			cancel()
		}
	})
}
