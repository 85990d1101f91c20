package config

import "testing"

func TestPreference(t *testing.T) {
	config, err := Parse([]byte(`
address-pools:
- name: a
  protocol: layer2
  addresses: [10.0.0.1]
  preferred-nodes:
  - {weight: 10, match-labels: {zone: a}}
  - {weight: 10, match-labels: {zone: a}}
  - {weight: 100, match-expressions: [{key: rack, operator: In, values: [r1, r2]}]}
  - {weight: 1, match-labels: {zone: a, rack: r1}}
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		labels map[string]string
		want   int
	}{
		{nil, 0},
		{map[string]string{"zone": "b"}, 0},
		{map[string]string{"zone": "a"}, 20},
		{map[string]string{"rack": "r2"}, 100},
		{map[string]string{"rack": "r1", "zone": "a"}, 121},
	} {
		if got := config.Pools[0].Preference(c.labels); got != c.want {
			t.Errorf("%v: %d, want %d", c.labels, got, c.want)
		}
	}
	if got := new(Pool).Preference(map[string]string{"zone": "a"}); got != 0 {
		t.Errorf("a pool that prefers none: %d, want 0", got)
	}
}
