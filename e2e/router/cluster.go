package router

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lanlord/lanlord/e2e/wire"
)

// The default AS numbers of the nodes and the routers.
const (
	NodeASN   = 64512
	RouterASN = 64513
)

// The addresses of Services are no part of the LAN.
var (
	pool4 = netip.MustParsePrefix("198.18.0.0/16")
	pool6 = netip.MustParsePrefix("fd00:198::/112")
	// metallbPool is the pool of MetalLB's examples.
	metallbPool = netip.MustParsePrefix("198.51.100.0/24")
)

// VIP4 returns the IPv4 address of a Service by its number, from 0. The nodes answer datagrams to address 0 of each
// family and to [MetalLBAddress].
func VIP4(number int) netip.Addr {
	b := pool4.Addr().As4()
	number++
	b[2], b[3] = byte(number>>8), byte(number)
	return netip.AddrFrom4(b)
}

// VIP6 returns the IPv6 address of a Service by its number, from 0.
func VIP6(number int) netip.Addr {
	b := pool6.Addr().As16()
	number++
	b[14], b[15] = byte(number>>8), byte(number)
	return netip.AddrFrom16(b)
}

// MetalLBAddress returns an address of the pool in MetalLB's examples.
func MetalLBAddress() netip.Addr { return metallbPool.Addr().Next() }

// HostPrefix returns the prefix of one address.
func HostPrefix(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// Hops returns the addresses of nodes on the LAN, in the family of an address, sorted.
func Hops(of netip.Addr, nodes ...int) (all []netip.Addr) {
	for _, n := range nodes {
		if of.Is6() {
			all = append(all, wire.LANAddress6(n).Addr())
		} else {
			all = append(all, wire.LANAddress(n).Addr())
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return all
}

// Pool returns the pool of a configuration with some further keys.
func Pool(keys ...string) string {
	text := fmt.Sprintf("address-pools:\n- name: routed\n  protocol: bgp\n  addresses: [%s, \"%s\"]\n", pool4, pool6)
	for _, k := range keys {
		text += "  " + k + "\n"
	}
	return text
}

// Peer returns a peer of a configuration with some keys. The router is at a station unless the keys name another
// address.
func Peer(station int, keys ...string) string {
	all := strings.Join(keys, ", ")
	given := func(key string) bool {
		return slices.ContainsFunc(keys, func(k string) bool { return strings.HasPrefix(k, key+":") })
	}
	defaults := map[string]string{"my-asn": fmt.Sprint(NodeASN), "peer-asn": fmt.Sprint(RouterASN),
		"peer-address": wire.StationAddresses(station)[0].Addr().String()}
	if given("peer-interface") {
		delete(defaults, "peer-address")
	}
	for _, key := range slices.Sorted(maps.Keys(defaults)) {
		if !given(key) {
			all += fmt.Sprintf(", %s: %s", key, defaults[key])
		}
	}
	return "- {" + strings.TrimPrefix(all, ", ") + "}\n"
}

// Cluster is a laboratory whose nodes answer datagrams to addresses of Services.
type Cluster struct {
	*wire.Lab
	echoes []*Echo
}

// NewCluster makes a cluster. NewCluster sets the option Local.
func NewCluster(o wire.Options) (*Cluster, error) {
	o.Local = []netip.Prefix{pool4, pool6, metallbPool}
	lab, err := wire.New(o)
	if err != nil {
		return nil, err
	}
	c := &Cluster{Lab: lab}
	for i := range lab.Nodes() {
		echo, err := NewEcho(lab, i, VIP4(0), VIP6(0), MetalLBAddress())
		if err != nil {
			c.Close()
			return nil, err
		}
		c.echoes = append(c.echoes, echo)
	}
	return c, nil
}

// Close removes all.
func (c *Cluster) Close() {
	for _, e := range c.echoes {
		e.Close()
	}
	c.Lab.Close()
}

// Neighbors returns all nodes as neighbours of a router, over IPv4.
func (c *Cluster) Neighbors(asn uint32) (all []Neighbor) {
	for i := range c.Nodes() {
		all = append(all, Neighbor{Address: wire.LANAddress(i).Addr(), ASN: asn})
	}
	return all
}

// Client makes a host behind a router, with a route from each node. A router has at most one client.
func (c *Cluster) Client(r *Router) (*wire.Station, error) {
	subnet4 := netip.MustParsePrefix(fmt.Sprintf("10.101.%d.0/24", r.Options.Station))
	subnet6 := netip.MustParsePrefix(fmt.Sprintf("fd00:101:%d::/64", r.Options.Station))
	client, err := r.Behind("eth1", subnet4, subnet6)
	for i := range c.Nodes() {
		if err == nil {
			err = errors.Join(c.RouteVia(i, subnet4, r.V4), c.RouteVia(i, subnet6, r.V6))
		}
	}
	return client, err
}

// Configure replaces the configuration.
func (c *Cluster) Configure(config string) error {
	found, err := c.API().
		Edit("configmaps", types.NamespacedName{Namespace: "lanlord-system", Name: "config"}, func(o runtime.Object) {
			o.(*corev1.ConfigMap).Data["config"] = config
		})
	if err == nil && !found {
		err = errors.New("there is no ConfigMap")
	}
	return err
}

// Label replaces the labels of a Node.
func (c *Cluster) Label(number int, labels map[string]string) error {
	_, err := c.API().
		Edit("nodes", types.NamespacedName{Name: c.Nodes()[number]}, func(o runtime.Object) { o.(*corev1.Node).Labels = labels })
	return err
}

// Service is a Service with an address.
type Service struct {
	Name string
	Addr netip.Addr
	// Pool is the pool of the address; empty for the pool of [Pool].
	Pool string
	// Local sets the externalTrafficPolicy Local.
	Local bool
}

// Endpoint is a pod on a node. A terminating pod serves.
type Endpoint struct {
	Node               int
	Ready, Terminating bool
}

// On returns a ready endpoint on each of some nodes.
func On(nodes ...int) (all []Endpoint) {
	for _, n := range nodes {
		all = append(all, Endpoint{Node: n, Ready: true})
	}
	return all
}

// Put creates or replaces a Service and its endpoints.
func (c *Cluster) Put(s Service, endpoints []Endpoint) error {
	if s.Pool == "" {
		s.Pool = "routed"
	}
	policy, family, cluster := corev1.ServiceExternalTrafficPolicyCluster, corev1.IPv4Protocol, "10.96.9.1"
	if s.Local {
		policy = corev1.ServiceExternalTrafficPolicyLocal
	}
	if s.Addr.Is6() {
		family, cluster = corev1.IPv6Protocol, "fd00:96::1"
	}
	err := c.API().Put(&corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:   "default",
			Name:        s.Name,
			Annotations: map[string]string{"lanlord.io/ip-allocated-from-pool": s.Pool},
		},
		Spec: corev1.ServiceSpec{
			Type:       corev1.ServiceTypeLoadBalancer,
			ClusterIP:  cluster,
			ClusterIPs: []string{cluster},
			IPFamilies: []corev1.IPFamily{
				family,
			},
			ExternalTrafficPolicy: policy,
			Ports:                 []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}},
		},
		Status: corev1.ServiceStatus{
			LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: s.Addr.String()}}},
		},
	})
	if err != nil {
		return err
	}
	return c.PutEndpoints(s, endpoints)
}

// PutEndpoints replaces the endpoints of a Service.
func (c *Cluster) PutEndpoints(s Service, endpoints []Endpoint) error {
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default",
			Name:      s.Name + "-1",
			Labels:    map[string]string{discoveryv1.LabelServiceName: s.Name},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
	}
	pod := "10.97.0.%d"
	if s.Addr.Is6() {
		slice.AddressType, pod = discoveryv1.AddressTypeIPv6, "fd00:95::%d"
	}
	nodes := c.Nodes()
	for i, one := range endpoints {
		serving := one.Ready || one.Terminating
		slice.Endpoints = append(
			slice.Endpoints,
			discoveryv1.Endpoint{Addresses: []string{fmt.Sprintf(pod, i+1)}, NodeName: &nodes[one.Node],
				Conditions: discoveryv1.EndpointConditions{
					Ready:       &one.Ready,
					Serving:     &serving,
					Terminating: &one.Terminating,
				}},
		)
	}
	return c.API().Put(slice)
}

// Said is a part of the status of a speaker.
type Said struct {
	Peers []SaidPeer `json:"peers"`
	// Owned are the addresses owned by layer 2.
	Owned []json.RawMessage `json:"owned"`
}

// SaidPeer is a session in the status of a speaker.
type SaidPeer struct {
	Name     string `json:"name"`
	State    string `json:"state"`
	Up       bool   `json:"up"`
	Reason   string `json:"reason"`
	Message  string `json:"message"`
	HoldTime int    `json:"holdTimeSeconds"`
	Resets   int    `json:"resets"`
	Wanted   int    `json:"wanted"`
	BFD      *struct {
		State string `json:"state"`
		// Interval is the transmit interval of the node in milliseconds.
		Interval int `json:"intervalMilliseconds"`
	} `json:"bfd"`
}

// Says returns the status of the speaker of a node.
func (c *Cluster) Says(ctx context.Context, number int) (s Said, err error) {
	text, err := c.Status(ctx, number)
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	return s, err
}
