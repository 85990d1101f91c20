package kube

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"

	"github.com/lanlord/lanlord/pkg/cluster"
)

func TestRequested(t *testing.T) {
	const (
		metallb = "metallb.io/loadBalancerIPs"
		older   = "metallb.universe.tf/loadBalancerIPs"
	)
	dual := []cluster.Family{cluster.IPv4, cluster.IPv6}
	single := dual[:1]
	for _, c := range []struct {
		name        string
		annotations map[string]string
		field       string
		families    []cluster.Family
		want        string // the addresses, then the pool
		problem     string
	}{
		{"nothing", nil, "", dual, "", ""},
		{"blank is nothing", map[string]string{AddressesAnnotation: "  ", PoolAnnotation: " "}, "", dual, "", ""},
		{"ours", map[string]string{AddressesAnnotation: "10.0.0.1"}, "", dual, "10.0.0.1", ""},
		{"two, spaces, a last comma", map[string]string{AddressesAnnotation: " fd00::1 , 10.0.0.1,"}, "", dual, "fd00::1 10.0.0.1", ""},
		{"MetalLB's", map[string]string{metallb: "10.0.0.1"}, "", dual, "10.0.0.1", ""},
		{"MetalLB's old one", map[string]string{older: "10.0.0.1"}, "", dual, "10.0.0.1", ""},
		{"ours and MetalLB's say the same", map[string]string{AddressesAnnotation: "10.0.0.1,fd00::1", metallb: "10.0.0.1, fd00::1,", older: " "},
			"", dual, "10.0.0.1 fd00::1", ""},
		{"the field", nil, "10.0.0.1", dual, "10.0.0.1", ""},
		{"the field says the same", map[string]string{older: "10.0.0.1"}, "10.0.0.1", dual, "10.0.0.1", ""},
		{"the field says one of the two", map[string]string{metallb: "10.0.0.1,fd00::1"}, "fd00:0::1", dual, "10.0.0.1 fd00::1", ""},
		{"IPv4 in IPv6", map[string]string{metallb: "::ffff:10.0.0.1"}, "", single, "10.0.0.1", ""},
		{"a pool", map[string]string{PoolAnnotation: " my pool ", "metallb.io/address-pool": "my pool"}, "", dual, "my pool", ""},
		{"MetalLB's pool", map[string]string{"metallb.io/address-pool": "p"}, "", dual, "p", ""},
		{"MetalLB's old pool", map[string]string{"metallb.universe.tf/address-pool": "q", AddressesAnnotation: "10.0.0.1"}, "", dual, "10.0.0.1 q", ""},

		{"no address", map[string]string{older: "10.0.0.256", PoolAnnotation: "p"}, "", dual, "",
			`the annotation metallb.universe.tf/loadBalancerIPs holds "10.0.0.256", which is not an IP address; write one address, or an IPv4 and an IPv6 address separated by a comma`},
		{"a range", map[string]string{AddressesAnnotation: "10.0.0.1-10.0.0.3"}, "", dual, "",
			`the annotation lanlord.io/load-balancer-ips holds "10.0.0.1-10.0.0.3", which is not an IP address; write one address, or an IPv4 and an IPv6 address separated by a comma`},
		{"a zone", nil, "fe80::1%eth0", dual, "",
			`spec.loadBalancerIP holds "fe80::1%eth0", which is not an IP address; write one address, or an IPv4 and an IPv6 address separated by a comma`},
		{"only a comma", map[string]string{metallb: ","}, "", dual, "", "the annotation metallb.io/loadBalancerIPs holds no address; write one or remove it"},
		{"two of a family", map[string]string{metallb: "10.0.0.1,10.0.0.2"}, "", dual, "",
			"the annotation metallb.io/loadBalancerIPs asks for two IPv4 addresses, 10.0.0.1 and 10.0.0.2; a Service can have one of each family, keep one"},
		{"three", map[string]string{metallb: "10.0.0.1,fd00::1,fd00::2"}, "", dual, "",
			"the annotation metallb.io/loadBalancerIPs asks for two IPv6 addresses, fd00::1 and fd00::2; a Service can have one of each family, keep one"},
		{"a family it lacks", map[string]string{metallb: "fd00::1"}, "", single, "",
			"the annotation metallb.io/loadBalancerIPs asks for fd00::1, but the Service has no IPv6 cluster IP; add IPv6 to spec.ipFamilies or ask for another address"},
		{"field and annotation differ", map[string]string{metallb: "10.0.0.1,fd00::1"}, "10.0.0.2", dual, "",
			"spec.loadBalancerIP asks for 10.0.0.2 and the annotation metallb.io/loadBalancerIPs for 10.0.0.1 and fd00::1; remove one of the two"},
		{"two annotations for the addresses differ", map[string]string{AddressesAnnotation: "10.0.0.1", older: "10.0.0.2"}, "", dual, "",
			`the annotation lanlord.io/load-balancer-ips has the value "10.0.0.1" and the annotation metallb.universe.tf/loadBalancerIPs the value "10.0.0.2"; remove one of the two`},
		{"MetalLB's two annotations for the addresses differ", map[string]string{metallb: "10.0.0.1", older: "10.0.0.2"}, "", dual, "",
			`the annotation metallb.io/loadBalancerIPs has the value "10.0.0.1" and the annotation metallb.universe.tf/loadBalancerIPs the value "10.0.0.2"; remove one of the two`},
		{"two annotations for the pool differ", map[string]string{PoolAnnotation: "a", "metallb.io/address-pool": "b"}, "", dual, "",
			`the annotation lanlord.io/address-pool has the value "a" and the annotation metallb.io/address-pool the value "b"; remove one of the two`},
		{"two annotations for the sharing key differ", map[string]string{SharingAnnotation: "a", "metallb.universe.tf/allow-shared-ip": "b"},
			"10.0.0.1", dual, "",
			`the annotation lanlord.io/allow-shared-ip has the value "a" and the annotation metallb.universe.tf/allow-shared-ip the value "b"; remove one of the two`},
		{"two in the field", nil, "10.0.0.1,fd00::1", dual, "",
			"spec.loadBalancerIP holds more than one address; move them to the annotation lanlord.io/load-balancer-ips"},
	} {
		o := &corev1.Service{}
		o.Annotations, o.Spec.LoadBalancerIP = c.annotations, c.field
		as, pool, problem := requested(o, c.families)
		var got []string
		for _, a := range as {
			got = append(got, a.String())
		}
		if pool != "" {
			got = append(got, pool)
		}
		if strings.Join(got, " ") != c.want || problem != c.problem {
			t.Errorf("%s:\n%q %s\nwant\n%q %s", c.name, strings.Join(got, " "), problem, c.want, c.problem)
		}
	}
}

func FuzzRequest(f *testing.F) {
	f.Add("10.0.0.1,fd00::1")            // both families
	f.Add(" 10.0.0.1 , ")                // blanks and an extra comma
	f.Add("::ffff:10.0.0.1,10.0.0.2")    // the same family in another notation
	f.Add("fe80::1%a,b")                 // a comma in a zone
	f.Add(strings.Repeat("ü", 100))      // shortened between runes
	f.Add("\xff\xfe" + "\x00,\n")        // not text
	f.Add("10.0.0.1\u00a0,\u3000fd00::") // blanks of other scripts
	dual := []cluster.Family{cluster.IPv4, cluster.IPv6}
	f.Fuzz(func(t *testing.T, text string) {
		as, problem := parseRequest(text, dual)
		if problem != "" {
			if len(as) > 0 {
				t.Errorf("%v beside the problem %q", as, problem)
			}
			if len(problem) > 600 || !utf8.ValidString(problem) || strings.ContainsAny(problem, "\n\x00") {
				t.Errorf("problem %q does not fit into an Event", problem)
			}
			return
		}
		if len(as) > 2 || len(as) == 2 && cluster.FamilyOf(as[0]) == cluster.FamilyOf(as[1]) {
			t.Errorf("%v, want at most one of each family", as)
		}
		if text != "" && len(as) == 0 {
			t.Error("something was asked for and got lost")
		}
		for _, a := range as {
			if !a.IsValid() || a.Is4In6() || a.Zone() != "" {
				t.Errorf("%v is not in the form that the core compares", a)
			}
		}
		if again, problem := parseRequest(strings.ReplaceAll(join(as), " and ", ","), dual); problem != "" || !slices.Equal(again, as) {
			t.Errorf("%v reads again as %v %s", as, again, problem)
		}
	})
}
