package config

import "testing"

// TestAccess checks the access rules and the quotas of two pools.
func TestAccess(t *testing.T) {
	c, err := Parse([]byte(`
address-pools:
- name: a
  protocol: layer2
  addresses: [10.0.0.0/24]
  namespaces: [shop]
  namespace-selectors: [{match-labels: {team: web}}, {match-labels: {team: api, stage: live}}]
  service-selectors: [{match-expressions: [{key: internal, operator: DoesNotExist}]}]
  quota: {each: 3, namespaces: {shop: 0}}
- {name: b, protocol: layer2, addresses: [10.0.1.0/24], quota: {namespaces: {shop: 5}}}
`))
	if err != nil {
		t.Fatal(err)
	}
	a, b := c.Pool("a"), c.Pool("b")
	for _, test := range []struct {
		namespace string
		labels    map[string]string
		want      bool
	}{
		{"shop", nil, true},
		{"other", nil, false},
		{"other", map[string]string{"team": "web"}, true},
		{"other", map[string]string{"team": "api"}, false},
		{"other", map[string]string{"team": "api", "stage": "live"}, true},
	} {
		if got := a.AdmitsNamespace(test.namespace, test.labels); got != test.want {
			t.Errorf("namespace %s with %v: %t", test.namespace, test.labels, got)
		}
	}
	if !a.AdmitsService(nil) || a.AdmitsService(map[string]string{"internal": ""}) || !b.AdmitsService(nil) || !b.AdmitsNamespace("any", nil) {
		t.Error("a is for Services without the label internal, b for all")
	}
	if !a.Restricted() || b.Restricted() {
		t.Errorf("restricted: a %t, b %t", a.Restricted(), b.Restricted())
	}
	type quota struct {
		limit   int
		limited bool
	}
	for name, want := range map[string][2]quota{"shop": {{0, true}, {5, true}}, "other": {{3, true}, {0, false}}} {
		for i, p := range []*Pool{a, b} {
			if limit, limited := p.Quota(name); (quota{limit, limited}) != want[i] {
				t.Errorf("pool %s, namespace %s: %d, %t", p.Name, name, limit, limited)
			}
		}
	}
}
