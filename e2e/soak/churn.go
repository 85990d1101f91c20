package soak

import (
	"fmt"
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

// flavour is what a Service asks for.
type flavour string

const (
	plain  flavour = "plain"
	six    flavour = "IPv6"
	dual   flavour = "dual stack"
	asking flavour = "asking"
	shared flavour = "shared"
)

var flavours = []flavour{plain, plain, six, dual, asking, shared}

// churn is what users do: they create, change and delete Services, from a seed. The Services that are there from the start
// are never touched.
type churn struct {
	random *rand.Rand
	api    *apiserver.Server
	// most is how many Services come and go at once; made counts all of them.
	most, made int
	living     []*living
}

// living is a Service that comes and goes.
type living struct {
	name    string
	flavour flavour
	asks    int
}

func newChurn(seed uint64, api *apiserver.Server, stay, most int) (*churn, error) {
	c := &churn{random: rand.New(rand.NewPCG(seed, 2)), api: api, most: most}
	for i := range stay {
		if err := c.create(&living{name: fmt.Sprintf("stays-%d", i), flavour: flavours[i%len(flavours)], asks: i}); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// step does one thing to one Service, and says what.
func (c *churn) step() (string, error) {
	switch n := len(c.living); {
	case n == 0, n < c.most && c.random.IntN(2) == 0:
		c.made++
		// Addresses that are asked for are nobody else's: each is of one number.
		s := &living{name: fmt.Sprintf("comes-%d", c.made), flavour: flavours[c.random.IntN(len(flavours))], asks: 100 + c.made%100}
		if slices.ContainsFunc(c.living, func(o *living) bool { return o.asks == s.asks }) {
			return "nothing", nil
		}
		c.living = append(c.living, s)
		return fmt.Sprintf("create %s, %s", s.name, s.flavour), c.create(s)
	case c.random.IntN(3) == 0:
		s := c.living[c.random.IntN(n)]
		return "change " + s.name, c.change(s)
	default:
		i := c.random.IntN(n)
		s := c.living[i]
		c.living = slices.Delete(c.living, i, i+1)
		return "delete " + s.name, c.delete(s)
	}
}

// create makes a Service and its endpoints.
func (c *churn) create(s *living) error {
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: appNamespace, Name: s.name, Annotations: map[string]string{}},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol},
			Ports: []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}},
		},
	}
	policy := corev1.IPFamilyPolicySingleStack
	switch s.flavour {
	case six:
		service.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol}
	case dual:
		service.Spec.IPFamilies = append(service.Spec.IPFamilies, corev1.IPv6Protocol)
		policy = corev1.IPFamilyPolicyRequireDualStack
	case asking:
		service.Annotations[addressesAnnotation] = asked(s.asks).String()
	case shared:
		// Ports decide about who shares: each number has its own.
		service.Annotations[sharingAnnotation] = "soak"
		service.Spec.Ports[0].Port = int32(1000 + s.asks)
	}
	service.Spec.IPFamilyPolicy = &policy
	objects := []runtime.Object{service}
	ready := true
	for i, f := range service.Spec.IPFamilies {
		pod, ip := "10.97.0.1", "10.96.0.1"
		if f == corev1.IPv6Protocol {
			pod, ip = "fd00:95::1", "fd00:96::1"
		}
		service.Spec.ClusterIPs = append(service.Spec.ClusterIPs, ip)
		objects = append(objects, &discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: appNamespace, Name: fmt.Sprintf("%s-%d", s.name, i), Labels: map[string]string{discoveryv1.LabelServiceName: s.name},
			},
			AddressType: discoveryv1.AddressType(f),
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{pod}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}},
		})
	}
	service.Spec.ClusterIP = service.Spec.ClusterIPs[0]
	return c.api.Put(objects...)
}

// asked is an address of the part of the pool that is only given to those who ask.
func asked(number int) netip.Addr { return netip.AddrFrom4([4]byte{10, 99, 200, byte(number)}) }

// change makes a Service ask for another address, or changes what is of no account.
func (c *churn) change(s *living) error {
	key, value := "example.com/note", fmt.Sprint(c.made)
	if c.random.IntN(2) == 0 {
		switch s.flavour {
		case plain:
			s.flavour, key, value = asking, addressesAnnotation, asked(s.asks).String()
		case asking:
			// Who no longer asks keeps what it has.
			s.flavour, key, value = plain, addressesAnnotation, ""
		}
	}
	_, err := c.api.Edit("services", types.NamespacedName{Namespace: appNamespace, Name: s.name}, func(o runtime.Object) {
		if value == "" {
			delete(o.(*corev1.Service).Annotations, key)
			return
		}
		metav1.SetMetaDataAnnotation(&o.(*corev1.Service).ObjectMeta, key, value)
	})
	return err
}

func (c *churn) delete(s *living) error {
	for i := range 2 {
		if err := c.api.Delete("endpointslices", types.NamespacedName{Namespace: appNamespace, Name: fmt.Sprintf("%s-%d", s.name, i)}); err != nil {
			return err
		}
	}
	return c.api.Delete("services", types.NamespacedName{Namespace: appNamespace, Name: s.name})
}
