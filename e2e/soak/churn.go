package soak

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lanlord/lanlord/e2e/apiserver"
)

const appNamespace = "default"

var flavours = []Flavour{Plain, Local, SixOnly, DualStack, Asking, Shared, Plain}

// churn is what users do: they create, change and delete Services, from a seed. Of the Services that are there from the start only
// the endpoints move.
type churn struct {
	random *rand.Rand
	api    *apiserver.Server
	nodes  []string
	// places are the nodes with endpoints of each Service of which that matters.
	places map[string][]int
	// most is how many Services come and go at once; made counts all of them.
	most, made int
	living     []*Wish
}

func newChurn(seed uint64, api *apiserver.Server, nodes []string, stay, most int) (*churn, error) {
	c := &churn{random: rand.New(rand.NewPCG(seed, 2)), api: api, nodes: nodes, places: make(map[string][]int), most: most}
	for i := range stay {
		if err := c.create(&Wish{Name: fmt.Sprintf("stays-%d", i), Flavour: flavours[i%len(flavours)], Number: i, Asked: asked(i)}); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// step does one thing to one Service, and says what.
func (c *churn) step() (string, error) {
	switch n := len(c.living); {
	case len(c.places) > 0 && c.random.IntN(5) == 0:
		names := slices.Sorted(maps.Keys(c.places))
		name := names[c.random.IntN(len(names))]
		return "move " + name, c.move(name)
	case n == 0, n < c.most && c.random.IntN(2) == 0:
		c.made++
		// Addresses that are asked for are nobody else's: each is of one number.
		number := 100 + c.made%100
		s := &Wish{Name: fmt.Sprintf("comes-%d", c.made), Flavour: flavours[c.random.IntN(len(flavours))], Number: number, Asked: asked(number)}
		if slices.ContainsFunc(c.living, func(o *Wish) bool { return o.Number == s.Number }) {
			return "nothing", nil
		}
		c.living = append(c.living, s)
		return fmt.Sprintf("create %s, %s", s.Name, s.Flavour), c.create(s)
	case c.random.IntN(3) == 0:
		s := c.living[c.random.IntN(n)]
		return "change " + s.Name, c.change(s)
	default:
		i := c.random.IntN(n)
		s := c.living[i]
		c.living = slices.Delete(c.living, i, i+1)
		return "delete " + s.Name, c.delete(s)
	}
}

// create makes a Service and its endpoints.
func (c *churn) create(s *Wish) error {
	service, at := s.Service(appNamespace), []int{0}
	if s.Flavour == Local {
		at = c.place()
		c.places[s.Name] = at
	}
	objects := []runtime.Object{service}
	for i, f := range service.Spec.IPFamilies {
		ip := "10.96.0.1"
		if f == corev1.IPv6Protocol {
			ip = "fd00:96::1"
		}
		service.Spec.ClusterIPs = append(service.Spec.ClusterIPs, ip)
		objects = append(objects, &discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: appNamespace, Name: fmt.Sprintf("%s-%d", s.Name, i), Labels: map[string]string{discoveryv1.LabelServiceName: s.Name},
			},
			AddressType: discoveryv1.AddressType(f), Endpoints: c.endpoints(f, at),
		})
	}
	service.Spec.ClusterIP = service.Spec.ClusterIPs[0]
	return c.api.Put(objects...)
}

// endpoints are serving ones on nodes.
func (c *churn) endpoints(f corev1.IPFamily, nodes []int) []discoveryv1.Endpoint {
	ready := true
	all := make([]discoveryv1.Endpoint, len(nodes))
	for i, n := range nodes {
		pod := netip.AddrFrom4([4]byte{10, 97, byte(n), 1})
		if f == corev1.IPv6Protocol {
			pod = netip.AddrFrom16([16]byte{0: 0xfd, 3: 0x95, 14: byte(n), 15: 1})
		}
		all[i] = discoveryv1.Endpoint{
			Addresses: []string{pod.String()}, NodeName: &c.nodes[n], Conditions: discoveryv1.EndpointConditions{Ready: &ready},
		}
	}
	return all
}

// place chooses one or two nodes.
func (c *churn) place() []int {
	at := c.random.Perm(len(c.nodes))[:1+c.random.IntN(2)]
	slices.Sort(at)
	return at
}

// move lets a Service's endpoints be on other nodes, or now and then on none, of both families at once.
func (c *churn) move(name string) error {
	at := c.place()
	if len(c.places[name]) > 0 && c.random.IntN(8) == 0 {
		at = nil
	}
	c.places[name] = at
	for i, f := range []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol} {
		key := types.NamespacedName{Namespace: appNamespace, Name: fmt.Sprintf("%s-%d", name, i)}
		if _, err := c.api.Edit("endpointslices", key, func(o runtime.Object) {
			o.(*discoveryv1.EndpointSlice).Endpoints = c.endpoints(f, at)
		}); err != nil {
			return err
		}
	}
	return nil
}

// asked is an address of the part of the pool that is only given to those who ask.
func asked(number int) netip.Addr { return netip.AddrFrom4([4]byte{10, 99, 200, byte(number)}) }

// change makes a Service ask for another address, or changes what is of no account.
func (c *churn) change(s *Wish) error {
	var key, value string
	key, value, s.Flavour = s.Change(c.random, fmt.Sprint(c.made))
	_, err := c.api.Edit("services", types.NamespacedName{Namespace: appNamespace, Name: s.Name}, func(o runtime.Object) {
		if value == "" {
			delete(o.(*corev1.Service).Annotations, key)
			return
		}
		metav1.SetMetaDataAnnotation(&o.(*corev1.Service).ObjectMeta, key, value)
	})
	return err
}

func (c *churn) delete(s *Wish) error {
	delete(c.places, s.Name)
	for i := range 2 {
		if err := c.api.Delete("endpointslices", types.NamespacedName{Namespace: appNamespace, Name: fmt.Sprintf("%s-%d", s.Name, i)}); err != nil {
			return err
		}
	}
	return c.api.Delete("services", types.NamespacedName{Namespace: appNamespace, Name: s.Name})
}
