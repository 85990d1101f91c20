package daemon

import (
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
