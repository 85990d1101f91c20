package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/labels"
)

func TestPeerTypes(t *testing.T) {
	got, err := Parse([]byte(`
peers:
- {my-asn: 1, peer-asn: 2, peer-address: "::ffff:192.0.2.1"}
- name: all
  my-asn: 4294967295
  peer-asn: 64513
  peer-address: fe80::1%eth0
  peer-port: 1179
  source-address: fe80::2
  hold-time: 9.9s
  keepalive-time: 1500ms
  router-id: 192.0.2.2
  password: hunter2
  bfd-profile: fast
  ebgp-multihop: yes
  node-selectors: [{match-labels: {rack: a}}]
  address-pools: [b, a]
- {my-asn: 1, peer-asn: internal, peer-address: gateway, bfd-profile: slow, graceful-restart: off, ttl-security: 1}
- {my-asn: 1, peer-asn: external, peer-interface: eth*, password-secret: s/k, graceful-restart: 4095s, hold-time: 0s}
- {my-asn: 1, peer-asn: 2, peer-address: 192.0.2.3, source-interface: lo, bfd-profile: slow}
bfd-profiles:
- {name: slow}
- {name: fast, receive-interval: 10, transmit-interval: 60000, detect-multiplier: 255, passive-mode: yes, minimum-ttl: 1}
address-pools:
- {name: a, protocol: bgp, addresses: [198.51.100.0/24]}
- {name: b, protocol: bgp, addresses: [198.51.101.0/24]}
`))
	if err != nil {
		t.Fatal(err)
	}
	const third = 30 * time.Second
	slow := &BFDProfile{Name: "slow", ReceiveInterval: 300 * time.Millisecond, TransmitInterval: 300 * time.Millisecond, DetectMultiplier: 3, MinimumTTL: 254}
	fast := &BFDProfile{Name: "fast", ReceiveInterval: 10 * time.Millisecond, TransmitInterval: time.Minute, DetectMultiplier: 255, Passive: true, MinimumTTL: 1}
	want := []Peer{
		{Name: "192.0.2.1", LocalASN: 1, RemoteASN: 2, Address: addr("192.0.2.1"), Port: 179, HoldTime: 90 * time.Second, KeepaliveTime: third},
		{
			Name: "all", LocalASN: 4294967295, RemoteASN: 64513, Address: addr("fe80::1%eth0"), Port: 1179, SourceAddress: addr("fe80::2"),
			RouterID: addr("192.0.2.2"), HoldTime: 9 * time.Second, KeepaliveTime: time.Second, Password: "hunter2", Multihop: true,
			NodeSelectors: []labels.Selector{labels.SelectorFromSet(labels.Set{"rack": "a"})}, BFD: fast, GracefulRestart: 15 * time.Second,
			AddressPools: []string{"a", "b"},
		},
		{
			Name: "gateway", LocalASN: 1, RemoteAS: RemoteInternal, Gateway: true, Port: 179, HoldTime: 90 * time.Second, KeepaliveTime: third,
			BFD: slow, TTLSecurity: 1,
		},
		{
			Name: "eth*", LocalASN: 1, RemoteAS: RemoteExternal, Interface: "eth*", Port: 179, PasswordSecret: SecretKey{"s", "k"},
			GracefulRestart: 4095 * time.Second,
		},
		{
			Name: "192.0.2.3", LocalASN: 1, RemoteASN: 2, Address: addr("192.0.2.3"), Port: 179, SourceInterface: "lo", HoldTime: 90 * time.Second,
			KeepaliveTime: third, BFD: slow, GracefulRestart: 15 * time.Second,
		},
	}
	if len(got.Peers) != len(want) {
		t.Fatalf("%d peers", len(got.Peers))
	}
	for i := range want {
		if !reflect.DeepEqual(got.Peers[i], want[i]) {
			t.Errorf("%s: got %s, want %s", want[i], fields(got.Peers[i]), fields(want[i]))
		}
	}
}

// fields returns all fields of a peer, including the password. The methods of Peer hide the password from fmt.
func fields(p Peer) string {
	type plain Peer
	return fmt.Sprintf("%+v", plain(p))
}

func TestAdvertisementTypes(t *testing.T) {
	got, err := Parse([]byte(`
peers: [{my-asn: 1, peer-asn: 2, peer-address: 192.0.2.1, name: x}, {my-asn: 1, peer-asn: 2, peer-address: 192.0.2.2, name: a}]
bgp-communities: {same: "1:2", large: "1:2:4294967295"}
address-pools:
- name: a
  protocol: bgp
  addresses: [198.51.100.0/24, "2001:db8::/64"]
  spread: 3
  bgp-advertisements:
  - communities: ["65535:65281", "1:2", same, "1:2:3", large, "0:2:3"]
    peers: [x, a]
    med: 0
    prepend: 10
    node-selectors: [{match-labels: {rack: a}}]
    service-selectors: [{}]
  - {aggregation-length: 24, aggregation-length-v6: 64, localpref: 7, med: 4294967295}
`))
	if err != nil {
		t.Fatal(err)
	}
	pool := got.Pool("a")
	want := []Advertisement{
		{
			AggregationLength: 32, AggregationLengthV6: 128, Communities: []uint32{1<<16 | 2, 0xffffff01},
			LargeCommunities: []LargeCommunity{{0, 2, 3}, {1, 2, 3}, {1, 2, 4294967295}}, Peers: []string{"a", "x"},
			NodeSelectors:    []labels.Selector{labels.SelectorFromSet(labels.Set{"rack": "a"})},
			ServiceSelectors: []labels.Selector{labels.Everything()}, HasMED: true, Prepend: 10,
		},
		{AggregationLength: 24, AggregationLengthV6: 64, LocalPref: 7, HasMED: true, MED: 4294967295},
	}
	if !reflect.DeepEqual(pool.Advertisements, want) || pool.Spread != 3 {
		t.Errorf("got  %+v, spread %d\nwant %+v", pool.Advertisements, pool.Spread, want)
	}
}

// TestPasswordsStaySecret searches for a password in all results of Parse, and in every message about a document.
func TestPasswordsStaySecret(t *testing.T) {
	const valid = "peers: [{my-asn: 1, peer-asn: 2, peer-address: 192.0.2.1, password: hunter2}]\n"
	c, err := Parse([]byte(valid))
	if err != nil {
		t.Fatal(err)
	}
	if c.Peers[0].Password != "hunter2" {
		t.Fatalf("the password is %q", c.Peers[0].Password)
	}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		for _, value := range []any{c.Peers[0], &c.Peers[0], c.Peers, *c, c} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "peer", c.Peers[0], "peers", c.Peers, "config", c)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "peer", c.Peers[0], "peers", c.Peers)
	if text, err := json.Marshal(c.Peers); err != nil {
		t.Error(err)
	} else {
		out.Write(text)
	}
	if err := Check([]byte(valid), &out); err != nil {
		t.Error(err)
	}
	for _, password := range []string{
		"hunter2", "[hunter2]", "{hunter2: 1}", "!hunter2 x", "!!binary hunter2", "*hunter2", "&hunter2", `"hunter2\q"`, "'hunter2", "hunter2: hunter2",
		"@hunter2", "%hunter2", "hunter2]", "|hunter2", `"` + strings.Repeat("hunter2", 12) + `"`,
	} {
		for _, more := range []string{"", ", password-secret: a/b", ", my-asn: 1", ", nothing: 0", ", router-id: x"} {
			for _, key := range []string{"password", "pasword"} {
				_, err := Parse(fmt.Appendf(nil, "peers:\n- {my-asn: 1, peer-asn: 2, peer-address: 192.0.2.1, %s: %s%s}\n", key, password, more))
				fmt.Fprintln(&out, err)
			}
		}
		_, err := Parse([]byte("peers:\n- my-asn: 1\n  password: " + password + "\n"))
		fmt.Fprintln(&out, err)
	}
	for line := range strings.Lines(out.String()) {
		if strings.Contains(line, "hunter2") || strings.Contains(line, fmt.Sprintf("%x", "hunter2")) {
			t.Errorf("the password is in %s", line)
		}
	}
}

func TestLongestPassword(t *testing.T) {
	for length, valid := range map[int]bool{80: true, 81: false} {
		_, err := Parse([]byte("peers: [{my-asn: 1, peer-asn: 2, peer-address: 192.0.2.1, password: " + strings.Repeat("x", length) + "}]"))
		if (err == nil) != valid {
			t.Errorf("%d bytes: %v", length, err)
		}
	}
}

func TestLargeCommunityText(t *testing.T) {
	a, b := LargeCommunity{1, 2, 3}, LargeCommunity{1, 3, 0}
	if a.String() != "1:2:3" || a.Compare(b) >= 0 || b.Compare(a) <= 0 || a.Compare(a) != 0 {
		t.Errorf("%s and %s", a, b)
	}
}

func TestRouter(t *testing.T) {
	for want, p := range map[string]Peer{
		"192.0.2.1":         {Address: netip.MustParseAddr("192.0.2.1"), Port: 179},
		"[2001:db8::1]:180": {Address: netip.MustParseAddr("2001:db8::1"), Port: 180},
		"gateway":           {Gateway: true, Port: 179},
		"gateway:1":         {Gateway: true, Port: 1},
		"eth*":              {Interface: "eth*", Port: 179},
	} {
		if got := p.Router(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestOverlapping compares the selectors of two peers: an empty list, and {}, choose every node.
func TestOverlapping(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"", "", true}, {"", "rack=a", true}, {"rack=a", "rack=a", true}, {"rack=a", "rack=b", false},
		{"{}", "rack=a", true}, {"rack=b,{}", "rack=a", true}, {"rack=a,rack=b", "rack=b", true},
	} {
		selectors := func(text string) (list []labels.Selector) {
			for part := range strings.SplitSeq(text, ",") {
				switch part {
				case "":
				case "{}":
					list = append(list, labels.Everything())
				default:
					list = append(list, labels.SelectorFromSet(labels.Set{"rack": strings.TrimPrefix(part, "rack=")}))
				}
			}
			return list
		}
		a, b := selectors(c.a), selectors(c.b)
		if overlapping(a, b) != c.same || overlapping(b, a) != c.same {
			t.Errorf("%q and %q overlap: %t, want %t", c.a, c.b, !c.same, c.same)
		}
	}
}
