package kube

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanlord/lanlord/pkg/cluster"
)

func prefixes(texts ...string) (ps []netip.Prefix) {
	for _, text := range texts {
		ps = append(ps, netip.MustParsePrefix(text))
	}
	return ps
}

func TestFormatNetworks(t *testing.T) {
	for _, c := range []struct {
		name     string
		subnets  []netip.Prefix
		gateways []netip.Addr
		want     string
	}{
		{"nothing", nil, nil, `{}`},
		{"both families, sorted, once each",
			prefixes("2001:db8::/64", "192.0.2.0/24", "192.0.2.0/24"), addrs("2001:db8::1", "192.0.2.1", "192.0.2.1"),
			`{"subnets":["192.0.2.0/24","2001:db8::/64"],"gateways":["192.0.2.1","2001:db8::1"]}`},
		{"an address with the length of its subnet", prefixes("192.0.2.77/24"), nil, `{"subnets":["192.0.2.0/24"]}`},
		{"what no pool can be in",
			prefixes("fe80::/64", "169.254.0.0/16", "192.0.2.7/32", "2001:db8::7/128", "0.0.0.0/0"), addrs("fe80::1", "127.0.0.1", "::ffff:192.0.2.1"), `{}`},
		{"point to point, which may be a pool's to leave out", prefixes("192.0.2.6/31"), nil, `{"subnets":["192.0.2.6/31"]}`},
	} {
		if got, left := formatNetworks(cluster.Networks{Subnets: c.subnets, Gateways: c.gateways}); got != c.want || left != 0 {
			t.Errorf("%s: %s, %d left out\nwant %s", c.name, got, left, c.want)
		}
		got, left := formatNetworks(cluster.Networks{Addresses: c.gateways})
		_, list, some := strings.Cut(c.want, `"gateways":`)
		if want := `{"addresses":` + list; some && got != want || !some && got != `{}` || left != 0 {
			t.Errorf("%s, as addresses of the node: %s, %d left out", c.name, got, left)
		}
	}
}

// TestFormatNetworksBounded checks that formatNetworks cuts off items over the limits, so that the text is always
// readable.
func TestFormatNetworksBounded(t *testing.T) {
	var n cluster.Networks
	for i := range 1000 {
		// These are the longest possible texts.
		a := netip.MustParseAddr(fmt.Sprintf("2001:1db8:1111:2222:3333:4444:5555:%x", 0x1000+4*i))
		mac := fmt.Sprintf("02:00:00:00:%02x:%02x", i/256, i%256)
		n.Subnets = append(n.Subnets, netip.PrefixFrom(a, 126))
		n.Gateways = append(n.Gateways, a)
		n.Addresses = append(n.Addresses, a)
		n.MACs = append(n.MACs, mac)
		n.Strangers = append(n.Strangers, stranger(a.String(), mac, true))
	}
	slices.Reverse(n.Subnets)
	text, left := formatNetworks(n)
	if want := 5000 - mostSubnets - mostGateways - mostAddresses - mostMACs - mostStrangers; left != want {
		t.Errorf("%d left out, want %d", left, want)
	}
	got, err := parseNetworks(text)
	if err != nil || len(got.Subnets) != mostSubnets || len(got.Gateways) != mostGateways || len(got.MACs) != mostMACs || len(got.Strangers) != mostStrangers {
		t.Errorf("%d bytes, %d subnets, %d gateways, %d MAC addresses, %d strangers, %v",
			len(text), len(got.Subnets), len(got.Gateways), len(got.MACs), len(got.Strangers), err)
	}
	if want := netip.MustParsePrefix("2001:1db8:1111:2222:3333:4444:5555:1000/126"); got.Subnets[0] != want {
		t.Errorf("first is %s, want %s whatever the order", got.Subnets[0], want)
	}
}

func stranger(addr, mac string, quarantine bool) cluster.Stranger {
	return cluster.Stranger{Addr: netip.MustParseAddr(addr), MAC: mac, Quarantine: quarantine}
}

func TestFormatStrangers(t *testing.T) {
	for _, c := range []struct {
		name      string
		strangers []cluster.Stranger
		want      string
	}{
		{"sorted, once each", []cluster.Stranger{
			stranger("2001:db8::9", "02:00:00:00:00:09", false), stranger("192.0.2.9", "02:00:00:00:00:0b", true),
			stranger("192.0.2.9", "02:00:00:00:00:0a", false), stranger("192.0.2.9", "02:00:00:00:00:0b", true),
		}, `{"strangers":[{"addr":"192.0.2.9","mac":"02:00:00:00:00:0a"},{"addr":"192.0.2.9","mac":"02:00:00:00:00:0b","quarantine":true},` +
			`{"addr":"2001:db8::9","mac":"02:00:00:00:00:09"}]}`},
		{"another spelling of a MAC address", []cluster.Stranger{stranger("192.0.2.9", "02-00-00-00-00-AB", false)},
			`{"strangers":[{"addr":"192.0.2.9","mac":"02:00:00:00:00:ab"}]}`},
		{"what nobody can do anything about", []cluster.Stranger{
			stranger("192.0.2.9", "", false), stranger("192.0.2.9", "somebody", true), stranger("192.0.2.9", "02:00:00:00:00:00:00:09", true),
			stranger("fe80::1", "02:00:00:00:00:09", true), {MAC: "02:00:00:00:00:09"},
		}, `{}`},
	} {
		n := cluster.Networks{Strangers: slices.Clone(c.strangers)}
		if got, left := formatNetworks(n); got != c.want || left != 0 {
			t.Errorf("%s: %s, %d left out\nwant %s", c.name, got, left, c.want)
		}
		if !slices.Equal(n.Strangers, c.strangers) {
			t.Errorf("%s: what was given has changed: %v", c.name, n.Strangers)
		}
	}
}

// TestFormatStrangersBounded checks that quarantines stay when there are too many foreign hosts, as behind a router
// that answers for every address.
func TestFormatStrangersBounded(t *testing.T) {
	var n cluster.Networks
	for i := range 2 * mostStrangers {
		addr := fmt.Sprintf("2001:1db8:1111:2222:3333:4444:5555:%x", 0x1000+i)
		n.Strangers = append(n.Strangers, stranger(addr, "02:00:00:00:00:09", i >= mostStrangers+mostStrangers/2))
	}
	text, left := formatNetworks(n)
	got, err := parseNetworks(text)
	if err != nil || left != mostStrangers || len(got.Strangers) != mostStrangers {
		t.Fatalf("%d strangers read, %d left out, %v", len(got.Strangers), left, err)
	}
	want := slices.Concat(n.Strangers[:mostStrangers/2], n.Strangers[mostStrangers+mostStrangers/2:])
	if !slices.Equal(got.Strangers, want) {
		t.Errorf("%v, want the quarantines and the first others", got.Strangers)
	}
}

func TestParseNetworks(t *testing.T) {
	for _, c := range []struct{ text, problem string }{
		{`{"subnets":["192.0.2.0/24"],"gateways":["192.0.2.1"]}`, ""},
		{`{}`, ""},
		{`{"gateways":["2001:db8::1"],"more":{"of":"a newer speaker"}}`, ""},
		{`{"strangers":[{"addr":"192.0.2.9","mac":"02:00:00:00:00:09","quarantine":true,"since":"noon"}]}`, ""},
		{`{"strangers":["192.0.2.9"]}`, "cannot unmarshal string"},
		{`{"strangers":[{}]}`, `"" is no address`},
		{`{"strangers":[{"addr":"fe80::9","mac":"02:00:00:00:00:09"}]}`, "is no address"},
		{`{"strangers":[{"addr":"192.0.2.9"}]}`, `"" is no MAC address`},
		{`{"strangers":[{"addr":"192.0.2.9","mac":"02-00-00-00-00-09"}]}`, "is no MAC address"},
		{`{"gateways":["192.0.2.1"],"strangers":[{"addr":"192.0.2.9","mac":"10.0.0.1 from pool \"a\""}]}`, "is no MAC address"},
		{`{"strangers":[` + strings.TrimSuffix(strings.Repeat(`{"addr":"192.0.2.9","mac":"02:00:00:00:00:09"},`, 257), ",") + `]}`, "257 strangers, more than"},
		{`{"addresses":["192.0.2.7","2001:db8::7"]}`, ""},
		{`{"addresses":["192.0.2.7/24"]}`, "is no address"},
		{`{"addresses":["fe80::7"]}`, "is no address"},
		{`{"addresses":[` + strings.TrimSuffix(strings.Repeat(`"192.0.2.7",`, 513), ",") + `]}`, "513 addresses, 0 MAC addresses"},
		{``, "unexpected end"},
		{`{} {}`, "invalid character"},
		{`[]`, "cannot unmarshal array"},
		{`{"subnets":"192.0.2.0/24"}`, "cannot unmarshal string"},
		{`{"macs":["02:00:00:00:00:07"]}`, ""},
		{`{"macs":["02:00:00:00:00:0A"]}`, "is no MAC address"},
		{`{"macs":[` + strings.TrimSuffix(strings.Repeat(`"02:00:00:00:00:07",`, 257), ",") + `]}`, "257 MAC addresses and 0 strangers, more than"},
		{`{"subnets":["192.0.2.1/24"]}`, `"192.0.2.1/24" is no subnet`},
		{`{"subnets":["192.0.2.0/33"]}`, "is no subnet"},
		{`{"subnets":["fe80::/64"]}`, "is no subnet"},
		{`{"subnets":["::ffff:192.0.2.0/120"]}`, "is no subnet"},
		{`{"gateways":["router"]}`, `"router" is no address`},
		{`{"gateways":["fe80::1%eth0"]}`, "is no address"},
		{`{"gateways":["255.255.255.255"]}`, "is no address"},
		{`{"gateways":["::"]}`, "is no address"},
		{`{"gateways":["` + strings.Repeat("a", 1000) + `"]}`, "…"},
		{`{"gateways":[` + strings.TrimSuffix(strings.Repeat(`"192.0.2.1",`, 65), ",") + `]}`, "65 gateways, 0 addresses, 0 MAC addresses and 0 strangers, more than"},
		{`{"more":"` + strings.Repeat("x", mostText) + `"}`, "bytes long"},
	} {
		got, err := parseNetworks(c.text)
		switch {
		case c.problem == "" && err != nil, c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem)):
			t.Errorf("%.80s: %v, want %q", c.text, err, c.problem)
		case err != nil && (got.Subnets != nil || got.Gateways != nil || got.Addresses != nil || got.MACs != nil || got.Strangers != nil):
			t.Errorf("%.80s: %v counts, in spite of the problem", c.text, got)
		}
	}
}

// FuzzParseNetworks reads the annotation of any Pod. Nothing panics, the result is within the limits, and
// formatNetworks and parseNetworks restore the result.
func FuzzParseNetworks(f *testing.F) {
	for _, text := range []string{
		// This is the text of a speaker.
		`{"subnets":["192.0.2.0/24","2001:db8::/64"],"gateways":["192.0.2.1","2001:db8::1"]}`,
		`{"strangers":[{"addr":"192.0.2.9","mac":"02:00:00:00:00:09","quarantine":true},{"addr":"192.0.2.9","mac":"02:00:00:00:00:09"}]}`,
		`{"macs":["02:00:00:00:00:07","02:00:00:00:00:07"]}`,
		`{"addresses":["192.0.2.7","192.0.2.7","2001:db8::7"]}`,
		`{"gateways":["192.0.2.1","192.0.2.1"]}`, // the same gateway twice
		`{"subnets":["192.0.2.7/32"]}`,           // never written, and harmless
		`{"Subnets":null,"gateways":[]}`,         // empty in other ways
		`{"subnets":["0.0.0.0/0"]}`, `{"gateways":[1]}`, `null`, `"`, "",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := parseNetworks(text)
		if err != nil {
			if len(n.Subnets)+len(n.Gateways)+len(n.Addresses)+len(n.MACs)+len(n.Strangers) > 0 {
				t.Fatalf("%v counts, in spite of: %v", n, err)
			}
			return
		}
		if len(n.Subnets) > mostSubnets || len(n.Gateways) > mostGateways || len(n.Addresses) > mostAddresses || len(n.MACs) > mostMACs ||
			len(n.Strangers) > mostStrangers {
			t.Fatalf("%d subnets, %d gateways, %d MAC addresses and %d strangers", len(n.Subnets), len(n.Gateways), len(n.MACs), len(n.Strangers))
		}
		n.Subnets = slices.DeleteFunc(n.Subnets, netip.Prefix.IsSingleIP)
		if len(n.Subnets) == 0 {
			n.Subnets = nil
		}
		written, left := formatNetworks(n)
		again, err := parseNetworks(written)
		if err != nil || left != 0 || !reflect.DeepEqual(again, n) {
			t.Fatalf("%v written as %s is read as %v, %v; %d left out", n, written, again, err, left)
		}
	})
}

// pod returns the Pod of a speaker on a node. With an empty text, the Pod has no annotation.
func pod(name, node, text string) *corev1.Pod {
	o := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "lanlord-system", Name: name, Labels: map[string]string{"app": "lanlord", "component": "speaker"},
		},
		Spec: corev1.PodSpec{NodeName: node},
	}
	if text != "" {
		o.Annotations = map[string]string{NetworksAnnotation: text}
	}
	return o
}

func TestConvertPod(t *testing.T) {
	const text = `{"subnets":["192.0.2.0/24"],"gateways":["192.0.2.1"]}`
	for _, c := range []struct {
		name string
		make func(*corev1.Pod)
		want bool
	}{
		{"a speaker", func(*corev1.Pod) {}, true},
		{"in another overlay", func(o *corev1.Pod) { o.Labels["app"] = "metallb" }, true},
		{"not ready, or being deleted", func(o *corev1.Pod) { o.DeletionTimestamp = new(metav1.Now()) }, true},
		{"no speaker", func(o *corev1.Pod) { o.Labels["component"] = "controller" }, false},
		{"on no node yet", func(o *corev1.Pod) { o.Spec.NodeName = "" }, false},
		{"evicted", func(o *corev1.Pod) { o.Status.Phase = corev1.PodFailed }, false},
		{"has nothing to say", func(o *corev1.Pod) { o.Annotations = nil }, false},
	} {
		o := pod("speaker-1", "n1", text)
		c.make(o)
		row, found := convertPod(o)
		if found != c.want {
			t.Errorf("%s: %t, want %t", c.name, found, c.want)
		}
		want := podRow{node: "n1", networks: cluster.Networks{Subnets: prefixes("192.0.2.0/24"), Gateways: addrs("192.0.2.1")}}
		if found && !reflect.DeepEqual(row, want) {
			t.Errorf("%s: %+v, want %+v", c.name, row, want)
		}
	}
}
