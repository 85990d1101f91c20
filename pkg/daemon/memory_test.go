package daemon

import (
	"os"
	"runtime/debug"
	"testing"
	"testing/fstest"
)

func TestContainerMemory(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string
		limit int64
	}{
		{"no control group", nil, 0},
		{"version 2", map[string]string{"sys/fs/cgroup/memory.max": "268435456\n"}, 256 << 20},
		{"version 2 without a limit", map[string]string{"sys/fs/cgroup/memory.max": "max\n"}, 0},
		{"version 1", map[string]string{"sys/fs/cgroup/memory/memory.limit_in_bytes": "268435456\n"}, 256 << 20},
		{"version 1 without a limit", map[string]string{"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 0},
		{"nonsense", map[string]string{"sys/fs/cgroup/memory.max": "-1\n"}, 0},
	} {
		root := fstest.MapFS{}
		for name, text := range test.files {
			root[name] = &fstest.MapFile{Data: []byte(text)}
		}
		limit, is := containerMemory(root)
		if want := test.limit != 0; is != want || is && limit != test.limit {
			t.Errorf("%s: %d, %t, want %d", test.name, limit, is, test.limit)
		}
	}
}

// TestMemoryLimitIsSet checks that the garbage collector works harder above 90 percent of the container's memory,
// unless the user has set GOMEMLIMIT.
func TestMemoryLimitIsSet(t *testing.T) {
	before := debug.SetMemoryLimit(-1) // changes nothing
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	root := fstest.MapFS{"sys/fs/cgroup/memory.max": &fstest.MapFile{Data: []byte("1000000000\n")}}
	t.Setenv("GOMEMLIMIT", "1GiB")
	if limitMemory(root); debug.SetMemoryLimit(-1) != before {
		t.Errorf("the limit is %d although GOMEMLIMIT is set", debug.SetMemoryLimit(-1))
	}
	if err := os.Unsetenv("GOMEMLIMIT"); err != nil {
		t.Fatal(err)
	}
	if limitMemory(root); debug.SetMemoryLimit(-1) != 900_000_000 {
		t.Errorf("the limit is %d, want 90 percent of 1000000000", debug.SetMemoryLimit(-1))
	}
}
