package config_test

import (
	"fmt"
	"net/netip"
	"os"

	"github.com/lanlord/lanlord/pkg/config"
)

func ExampleParse() {
	parsed, err := config.Parse([]byte(`
address-pools:
- name: public
  protocol: layer2
  addresses:
  - 192.0.2.10-192.0.2.19
  exclude:
  - 192.0.2.12
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	pool := parsed.PoolOf(netip.MustParseAddr("192.0.2.13"))
	v4, _ := pool.Size()
	fmt.Println(pool.Name, pool.Ranges, v4)
	// Output: public [192.0.2.10-192.0.2.11 192.0.2.13-192.0.2.19] 9
}

func ExampleParse_bgp() {
	parsed, err := config.Parse([]byte(`
peers:
- {my-asn: 64512, peer-asn: 64513, peer-address: 192.0.2.1, name: tor-a}
- {my-asn: 64512, peer-asn: external, peer-interface: eth1}
address-pools:
- name: public
  protocol: bgp
  addresses: [198.51.100.0/24]
  bgp-advertisements:
  - aggregation-length: 24
    communities: ["64512:1"]
    peers: [tor-a]
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range parsed.Peers {
		peer := &parsed.Peers[i]
		fmt.Println(peer, peer.HoldTime, len(parsed.Pool("public").AdvertisementsTo(peer)))
	}
	// Output:
	// peer "tor-a" (192.0.2.1) 1m30s 1
	// peer "eth1" (eth1) 1m30s 0
}

func ExampleParse_problems() {
	_, err := config.Parse([]byte(`
address-pools:
- name: public
  protocol: layer2
  adresses:
  - 192.0.2.19-192.0.2.10
- name: public
  protocol: arp
  addresses: [224.0.0.5]
`))
	fmt.Println(err)
	// Output:
	// line 5: pool "public": address-pools[0].adresses: unknown key; did you mean addresses?
	// line 6: pool "public": address-pools[0].adresses[0]: 192.0.2.19-192.0.2.10 is reversed; write 192.0.2.10-192.0.2.19
	// line 7: pool "public": address-pools[1].name: "public" is also the name of the pool on line 3; names must differ
	// line 8: pool "public": address-pools[1].protocol: "arp" is not known here; write layer2 or bgp
	// line 9: pool "public": address-pools[1].addresses[0]: 224.0.0.5 holds addresses that no host on a LAN can have: 224.0.0.0/4 (multicast); leave them out
}

func ExampleCheck() {
	err := config.Check([]byte(`
apiVersion: v1
kind: ConfigMap
metadata:
  namespace: lanlord-system
  name: config
data:
  config: |
    address-pools:
    - name: public
      protocol: layer2
      addresses:
      - 192.0.2.8/29
`), os.Stdout)
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// ConfigMap lanlord-system/config
	//
	// 1 pool
	//
	// pool "public"
	//   protocols           layer2
	//   priority            none
	//   auto-assign         true
	//   addresses           192.0.2.8-192.0.2.15
	//   size                8 IPv4, 0 IPv6
	//
	// a released address rests 60s
	// network and broadcast addresses of the nodes' subnets are not given
	// an address is announced again every 90s
	// at most 5000 announcements a second are sent on an interface
	// an announced address answers ping
	// a node takes an address back from another one after 60s
	// addresses stay at a cordoned node
}
