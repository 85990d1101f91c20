package kube

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanlord/lanlord/pkg/cluster"
)

func addrs(texts ...string) (as []netip.Addr) {
	for _, text := range texts {
		as = append(as, netip.MustParseAddr(text))
	}
	return as
}

func TestConvertService(t *testing.T) {
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	plain := cluster.Service{
		Key: cluster.Key{Namespace: "a", Name: "s"}, UID: "uid-s", Version: "7", Created: created,
		Managed: true, Families: []cluster.Family{cluster.IPv4},
	}
	for _, c := range []struct {
		name string
		make func(o *corev1.Service)
		want func(s *cluster.Service) // nil: not in a snapshot
	}{
		{"plain", func(*corev1.Service) {}, func(*cluster.Service) {}},
		{"being deleted: it has traffic until it is gone",
			func(o *corev1.Service) { o.DeletionTimestamp = &metav1.Time{Time: created} }, func(*cluster.Service) {}},
		{"not a load balancer", func(o *corev1.Service) { o.Spec.Type = corev1.ServiceTypeNodePort }, nil},
		{"headless", func(o *corev1.Service) { o.Spec.ClusterIP = corev1.ClusterIPNone }, nil},
		{"without a cluster IP yet", func(o *corev1.Service) { o.Spec.ClusterIP = "" }, nil},
		{"no longer ours, our annotation left",
			func(o *corev1.Service) {
				o.Spec.Type = corev1.ServiceTypeClusterIP
				o.Annotations = map[string]string{AllocatedFromAnnotation: "lan"}
			},
			func(s *cluster.Service) { s.Managed, s.AllocatedFrom = false, "lan" }},
		{"dual stack, IPv6 first",
			func(o *corev1.Service) {
				o.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol, corev1.IPv4Protocol}
				o.Spec.IPFamilyPolicy = new(corev1.IPFamilyPolicyRequireDualStack)
			},
			func(s *cluster.Service) {
				s.Families = []cluster.Family{cluster.IPv6, cluster.IPv4}
				s.FamilyPolicy = cluster.RequireDualStack
			}},
		{"prefer dual stack", func(o *corev1.Service) { o.Spec.IPFamilyPolicy = new(corev1.IPFamilyPolicyPreferDualStack) },
			func(s *cluster.Service) { s.FamilyPolicy = cluster.PreferDualStack }},
		{"families only from cluster IPs",
			func(o *corev1.Service) {
				o.Spec.IPFamilies = nil
				o.Spec.ClusterIP, o.Spec.ClusterIPs = "fd00::9", []string{"fd00::9", "10.96.0.1"}
			},
			func(s *cluster.Service) { s.Families = []cluster.Family{cluster.IPv6, cluster.IPv4} }},
		{"external traffic policy",
			func(o *corev1.Service) { o.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal },
			func(s *cluster.Service) { s.TrafficPolicy = cluster.TrafficLocal }},
		{"labels", func(o *corev1.Service) { o.Labels = map[string]string{"tier": "front"} },
			func(s *cluster.Service) { s.Labels = map[string]string{"tier": "front"} }},
		{"a sharing key, and with it the ports",
			func(o *corev1.Service) {
				o.Annotations = map[string]string{SharingAnnotation: " dns ", "metallb.io/allow-shared-ip": "dns"}
				o.Spec.Selector = map[string]string{"app": "dns"}
				o.Spec.Ports = []corev1.ServicePort{
					{Port: 132, Protocol: corev1.ProtocolSCTP}, {Port: 53, Protocol: corev1.ProtocolUDP}, {Port: 8053}, {Port: 53, Protocol: corev1.ProtocolTCP},
				}
			},
			func(s *cluster.Service) {
				s.SharingKey = "dns"
				s.Ports = []cluster.Port{{Number: 53}, {Number: 8053}, {Protocol: cluster.UDP, Number: 53}, {Protocol: cluster.SCTP, Number: 132}}
				s.TCPPorts = []uint16{53, 8053}
			}},
		{"source ranges",
			func(o *corev1.Service) {
				o.Spec.LoadBalancerSourceRanges = []string{"203.0.113.9/24", " 2001:db8::/32", "all"}
			},
			func(s *cluster.Service) {
				s.SourceRanges = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8::/32")}
			}},
		{"MetalLB's old sharing key with policy Local, and with it the selector",
			func(o *corev1.Service) {
				o.Annotations = map[string]string{"metallb.universe.tf/allow-shared-ip": "k"}
				o.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
				o.Spec.Selector = map[string]string{"b": "2", "a": "1"}
			},
			func(s *cluster.Service) {
				s.SharingKey, s.TrafficPolicy, s.Selector, s.Ports = "k", cluster.TrafficLocal, "a=1,b=2", []cluster.Port{}
			}},
		{"a node preferred", func(o *corev1.Service) { o.Annotations = map[string]string{PreferNodeAnnotation: " n1.example.com\n"} },
			func(s *cluster.Service) { s.PreferNode = "n1.example.com" }},
		{"a node preferred that there cannot be", func(o *corev1.Service) {
			o.Annotations = map[string]string{PreferNodeAnnotation: `x 10.0.0.1 from pool "lan"`, AddressesAnnotation: "10.0.0.2"}
		},
			func(s *cluster.Service) {
				s.Requested = addrs("10.0.0.2")
				s.PreferNodeProblem = "the annotation lanlord.io/prefer-node does not hold the name of a Node and is not heeded"
				s.PreferNodeValue = `x 10.0.0.1 from pool "lan"`
			}},
		{"no node preferred", func(o *corev1.Service) { o.Annotations = map[string]string{PreferNodeAnnotation: " "} },
			func(*cluster.Service) {}},
		{"our status",
			func(o *corev1.Service) {
				o.Annotations = map[string]string{AllocatedFromAnnotation: "lan"}
				o.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{
					{IP: "10.0.0.1", IPMode: new(corev1.LoadBalancerIPModeVIP)}, {IP: "fd00::1"},
				}
				o.Status.Conditions = []metav1.Condition{
					{Type: "Other", Status: metav1.ConditionFalse},
					{Type: ConditionType, Status: metav1.ConditionTrue, Reason: "Assigned", Message: "m",
						LastTransitionTime: metav1.NewTime(created.Local())},
				}
			},
			func(s *cluster.Service) {
				s.AllocatedFrom, s.Ingress = "lan", addrs("10.0.0.1", "fd00::1")
				s.Condition = &cluster.Condition{True: true, Reason: "Assigned", Message: "m", Since: created}
			}},
		{"a conflict", func(o *corev1.Service) {
			o.Status.Conditions = []metav1.Condition{{Type: ConflictType, Status: metav1.ConditionTrue, Reason: "AddressConflict", Message: "m"}}
		}, func(s *cluster.Service) {
			s.Conflict = &cluster.Condition{True: true, Reason: "AddressConflict", Message: "m"}
		}},
		{"a hostname in the status",
			func(o *corev1.Service) {
				o.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{Hostname: "h"}, {IP: "10.0.0.1", Hostname: "h"}}
			},
			func(s *cluster.Service) { s.Ingress, s.ForeignIngress = addrs("10.0.0.1"), true }},
		{"text in the status",
			func(o *corev1.Service) {
				o.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "10.0.0.256"}, {IP: "::ffff:10.0.0.1"}, {IP: "fe80::1%eth0"}}
			},
			func(s *cluster.Service) { s.ForeignIngress = true }},
		{"another mode in the status",
			func(o *corev1.Service) {
				o.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "10.0.0.1", IPMode: new(corev1.LoadBalancerIPModeProxy)}}
			},
			func(s *cluster.Service) { s.Ingress, s.ForeignIngress = addrs("10.0.0.1"), true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := service("s")
			o.ResourceVersion, o.CreationTimestamp = "7", metav1.Time{Time: created}
			c.make(o)
			row, found := convertService(o, "")
			if found != (c.want != nil) {
				t.Fatalf("found %t", found)
			}
			if !found {
				return
			}
			want := plain
			c.want(&want)
			if !reflect.DeepEqual(row.service, want) {
				t.Errorf("got\n%+v\nwant\n%+v", row.service, want)
			}
		})
	}
}

func TestClass(t *testing.T) {
	for _, c := range []struct {
		service *string
		ours    string
		want    bool
	}{
		{nil, "", true},
		{new("lanlord.io/l2"), "", false},
		{new(""), "", false},
		{nil, "lanlord.io/l2", false},
		{new("lanlord.io/l2"), "lanlord.io/l2", true},
		{new("lanlord.io/l2 "), "lanlord.io/l2", false},
		{new("other"), "lanlord.io/l2", false},
	} {
		o := service("s")
		o.Spec.LoadBalancerClass = c.service
		row, known := convertService(o, c.ours)
		if got := known && !row.other; got != c.want || row.other == c.want {
			t.Errorf("class %v, ours %q: %t, want %t", c.service, c.ours, got, c.want)
		}
	}
}

// TestLeftBehind checks that marks of Lanlord are found on Services that Lanlord does not serve, except on load
// balancers of another class.
func TestLeftBehind(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(*corev1.Service)
		want bool
	}{
		{"nothing of ours", func(*corev1.Service) {}, false},
		{"our annotation", func(o *corev1.Service) { o.Annotations = map[string]string{AllocatedFromAnnotation: "a"} }, true},
		{"our condition", func(o *corev1.Service) { o.Status.Conditions = []metav1.Condition{{Type: ConditionType}} }, true},
		{"our other condition", func(o *corev1.Service) { o.Status.Conditions = []metav1.Condition{{Type: ConflictType}} }, true},
		{"somebody's condition", func(o *corev1.Service) { o.Status.Conditions = []metav1.Condition{{Type: "Ready"}} }, false},
		{"another class, served by another Lanlord", func(o *corev1.Service) {
			o.Spec.Type, o.Spec.LoadBalancerClass = corev1.ServiceTypeLoadBalancer, new("example.com/other")
			o.Annotations = map[string]string{AllocatedFromAnnotation: "a"}
			o.Status.Conditions = []metav1.Condition{{Type: ConditionType}}
		}, false},
	} {
		o := service("s")
		o.Spec.Type = corev1.ServiceTypeClusterIP
		c.make(o)
		row, known := convertService(o, "")
		if got := known && !row.other; got != c.want || got && row.service.Managed || row.other && row.service.Marked() {
			t.Errorf("%s: %t, want %t; %+v", c.name, got, c.want, row.service)
		}
	}
}

func TestConvertSlice(t *testing.T) {
	yes, no := new(true), new(false)
	on := func(node string, ready, serving *bool) discoveryv1.Endpoint {
		e := discoveryv1.Endpoint{Conditions: discoveryv1.EndpointConditions{Ready: ready, Serving: serving}}
		if node != "" {
			e.NodeName = &node
		}
		return e
	}
	ending := func(e discoveryv1.Endpoint) discoveryv1.Endpoint {
		e.Conditions.Terminating = yes
		return e
	}
	for _, c := range []struct {
		name      string
		endpoints []discoveryv1.Endpoint
		serving   bool
		nodes     []string
		ready     []string
	}{
		{"none", nil, false, nil, nil},
		{"ready, sorted, once each", []discoveryv1.Endpoint{on("b", yes, yes), on("a", yes, nil), on("b", yes, nil)}, true, []string{"a", "b"}, []string{"a", "b"}},
		{"nothing said is ready", []discoveryv1.Endpoint{on("a", nil, nil)}, true, []string{"a"}, []string{"a"}},
		{"terminating, still serving", []discoveryv1.Endpoint{on("a", no, yes)}, true, []string{"a"}, nil},
		{"terminating on one of two nodes", []discoveryv1.Endpoint{on("b", yes, yes), ending(on("a", no, yes))}, true,
			[]string{"a", "b"}, []string{"b"}},
		{"one of two terminates on the node", []discoveryv1.Endpoint{ending(on("a", no, yes)), on("a", yes, yes)}, true,
			[]string{"a"}, []string{"a"}},
		{"terminating, and ready by publishNotReadyAddresses", []discoveryv1.Endpoint{ending(on("a", yes, yes))}, true,
			[]string{"a"}, nil},
		{"not ready", []discoveryv1.Endpoint{on("a", no, no), on("b", no, nil)}, false, nil, nil},
		{"on no node", []discoveryv1.Endpoint{on("", yes, nil)}, true, nil, nil},
	} {
		o := slice("s-1", "s")
		o.Endpoints = c.endpoints
		row, found := convertSlice(o)
		if found != c.serving || row.serving != c.serving || !slices.Equal(row.nodes, c.nodes) || !slices.Equal(row.ready, c.ready) {
			t.Errorf("%s: %t %+v, want %t %q %q", c.name, found, row, c.serving, c.nodes, c.ready)
		}
		if len(c.nodes) > 0 && slices.Equal(c.nodes, c.ready) && &row.nodes[0] != &row.ready[0] {
			t.Errorf("%s: two copies of the same nodes", c.name)
		}
	}
	names := slice("s-1", "s", "a")
	names.AddressType = discoveryv1.AddressTypeFQDN
	orphan := slice("s-1", "s", "a")
	orphan.Labels = nil
	for what, o := range map[string]*discoveryv1.EndpointSlice{"names instead of addresses": names, "no Service": orphan} {
		if _, found := convertSlice(o); found {
			t.Errorf("%s: kept", what)
		}
	}
}

func TestConvertNode(t *testing.T) {
	o := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "n", UID: "u", Labels: map[string]string{corev1.LabelNodeExcludeBalancers: "false"}},
		Status: corev1.NodeStatus{
			Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeHostName, Address: "n"}, {Type: corev1.NodeInternalIP, Address: "10.0.0.1"},
				{Type: corev1.NodeExternalIP, Address: "203.0.113.1"}, {Type: corev1.NodeInternalIP, Address: "not one"},
				{Type: corev1.NodeInternalIP, Address: "fd00::1"},
			},
			Conditions: []corev1.NodeCondition{
				{Type: corev1.NodeReady, Status: corev1.ConditionFalse},
				{Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionTrue},
			},
		},
	}
	want := cluster.Node{
		Name: "n", UID: "u", Labels: o.Labels, Addresses: addrs("10.0.0.1", "fd00::1"), External: addrs("203.0.113.1"), Excluded: true, NetworkUnavailable: true,
	}
	if got := convertNode(o); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v: the label counts by being there", got, want)
	}
	o.Labels, o.Status.Conditions[1].Status = nil, corev1.ConditionUnknown
	if got := convertNode(o); got.Excluded || got.NetworkUnavailable {
		t.Errorf("%+v, want neither", got)
	}
}

func TestConvertNodeAway(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(*corev1.Node)
		want cluster.Node
	}{
		{"as usual", func(o *corev1.Node) {
			o.Spec.Taints = []corev1.Taint{{Key: corev1.TaintNodeUnreachable, Effect: "NoExecute"}}
		}, cluster.Node{}},
		{"out of service", func(o *corev1.Node) {
			o.Spec.Taints = []corev1.Taint{{Key: "a"}, {Key: "node.kubernetes.io/out-of-service", Value: "nodeshutdown", Effect: "NoSchedule"}}
		}, cluster.Node{OutOfService: true}},
		{"being deleted", func(o *corev1.Node) { o.DeletionTimestamp = new(metav1.Now()) }, cluster.Node{Deleting: true}},
		{"cordoned", func(o *corev1.Node) { o.Spec.Unschedulable = true }, cluster.Node{Unschedulable: true}},
	} {
		o := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}
		c.make(o)
		c.want.Name = "n"
		if got := convertNode(o); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

// TestStatusManager checks that the field manager is known only when another controller has replaced the assigned
// addresses in the status.
func TestStatusManager(t *testing.T) {
	at := func(s int64) *metav1.Time { return &metav1.Time{Time: time.Unix(s, 0)} }
	entry := func(manager string, t *metav1.Time, fields string) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{Manager: manager, Subresource: "status", Time: t, FieldsV1: metav1.NewFieldsV1(fields)}
	}
	const ingress = `{"f:status":{"f:loadBalancer":{"f:ingress":{}}}}`
	managers := []metav1.ManagedFieldsEntry{
		entry("older", at(1), ingress), entry("k3s", at(5), ingress), entry("conditions", at(9), `{"f:status":{"f:conditions":{}}}`),
		entry("untimed", nil, ingress), {Manager: "empty"},
	}
	for _, test := range []struct {
		status, assigned, want string
	}{
		{"10.0.0.1", "10.0.0.1", ""},
		{"10.9.9.9", "10.0.0.1", "k3s"},
		{"10.9.9.9", "", ""}, // without a record, nothing is known
	} {
		o := service("s")
		o.ManagedFields = managers
		o.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: test.status}}
		if test.assigned != "" {
			record, err := FormatAssignment(&cluster.Assignment{Addresses: []cluster.AssignedAddress{{
				Addr: netip.MustParseAddr(test.assigned), Pool: "lan",
			}}})
			if err != nil {
				t.Fatal(err)
			}
			o.Annotations = map[string]string{AssignmentAnnotation: record}
		}
		row, _ := convertService(o, "")
		if row.service.StatusManager != test.want {
			t.Errorf("%+v: %q", test, row.service.StatusManager)
		}
	}
}
