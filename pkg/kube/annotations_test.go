package kube

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// TestMisspeltAnnotations checks that a misspelt annotation is reported with the nearest known name, and that no
// annotation of another program is.
func TestMisspeltAnnotations(t *testing.T) {
	for name, want := range map[string]string{
		"lanlord.io/adress-pool":      "; did you mean lanlord.io/address-pool?",
		"lanlord.io/addressPool":      "; did you mean lanlord.io/address-pool?",
		"lanlord.io/loadBalancerIPs":  "; did you mean lanlord.io/load-balancer-ips?",
		"lanlord.io/load-balancer-ip": "; did you mean lanlord.io/load-balancer-ips?",
		"lanlord.io/prefer-nodes":     "; did you mean lanlord.io/prefer-node?",
		"lanlord.io/allow-shared-ips": "; did you mean lanlord.io/allow-shared-ip?",
		"Lanlord.io/address-pool":     "; did you mean lanlord.io/address-pool?",
		"lanlord.io/pool": "; known are load-balancer-ips, address-pool, prefer-node, announce-from, " +
			"allow-shared-ip",
		"metallb.universe.tf/loadBalancerIP": "; did you mean metallb.universe.tf/loadBalancerIPs?",
		"metallb.io/adress-pool":             "; did you mean metallb.io/address-pool?",

		AddressesAnnotation: "", PoolAnnotation: "", PreferNodeAnnotation: "", AnnounceFromAnnotation: "", SharingAnnotation: "",
		AllocatedFromAnnotation: "", AssignmentAnnotation: "",
		"metallb.io/loadBalancerIPs": "", "metallb.universe.tf/address-pool": "", "metallb.universe.tf/allow-shared-ip": "",
		"metallb.universe.tf/ip-allocated-from-pool": "", "metallb.io/ip-allocated-from-pool": "",
		"metallb.io/something-else": "", "example.com/adress-pool": "", "lanlord.iox/address-pool": "", "address-pool": "",
	} {
		o := service("s")
		o.Annotations = map[string]string{name: "10.0.0.1"}
		if name == AssignmentAnnotation || name == AnnounceFromAnnotation {
			o.Annotations[name] = ""
		}
		if name == PreferNodeAnnotation {
			o.Annotations[name] = "n1"
		}
		row, _ := convertService(o, "")
		got := row.service.PreferNodeProblem
		if want != "" {
			want = "the annotation " + name + " is not known and is not heeded" + want
		}
		if got != want || (got != "") != (row.service.PreferNodeValue == name) {
			t.Errorf("%s: %q of %q, want %q", name, got, row.service.PreferNodeValue, want)
		}
	}
}

// TestMisspeltAnnotationsInOrder checks that the text does not depend on the order of the map, and is limited.
func TestMisspeltAnnotationsInOrder(t *testing.T) {
	o := &corev1.Service{}
	o.Annotations = map[string]string{PreferNodeAnnotation: "no name"}
	for _, name := range []string{"e", "d", "c", "b", "a"} {
		o.Annotations["lanlord.io/"+name] = "x"
	}
	for range 20 {
		var s cluster.Service
		prefer(o, &s)
		if want := "no name;lanlord.io/a;lanlord.io/b;lanlord.io/c"; s.PreferNodeValue != want {
			t.Fatalf("%q, want %q", s.PreferNodeValue, want)
		}
		if n := strings.Count(s.PreferNodeProblem, "not heeded"); n != 4 {
			t.Fatalf("%d problems in %q", n, s.PreferNodeProblem)
		}
	}
}

// FuzzMisspeltAnnotation checks that no name ends the program, and that a suggested name is known.
func FuzzMisspeltAnnotation(f *testing.F) {
	f.Add("lanlord.io/adress-pool")       // one letter is missing
	f.Add("Lanlord.IO/Prefer-Node")       // capital letters
	f.Add("metallb.io/")                  // no name
	f.Add("metallb.universe.tf/\xff\xfe") // no text
	f.Fuzz(func(t *testing.T, name string) {
		if !isUnknown(name) {
			return
		}
		_, meant, found := strings.Cut(unknownText(name), "; did you mean ")
		if meant = strings.TrimSuffix(meant, "?"); found && isUnknown(meant) && !strings.Contains(name, "; did you mean ") {
			t.Errorf("%q: %q is not known either", name, meant)
		}
	})
}
