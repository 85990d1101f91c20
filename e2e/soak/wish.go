package soak

import (
	"math/rand/v2"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Flavour is what a Service asks for.
type Flavour string

const (
	Plain     Flavour = "plain"
	SixOnly   Flavour = "IPv6"
	DualStack Flavour = "dual stack"
	// Asking is for an address of its own.
	Asking Flavour = "asking"
	Shared Flavour = "shared"
	// Local has externalTrafficPolicy Local and both families, and its endpoints move between nodes.
	Local Flavour = "local"
)

// Wish is a Service as a user wants it.
type Wish struct {
	Name    string
	Flavour Flavour
	// Number is nobody else's who lives at the same time, and Asked the address that belongs to it, for when it asks.
	Number int
	Asked  netip.Addr
}

// Service returns what to create: with one port, without a selector.
func (w *Wish) Service(namespace string) *corev1.Service {
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: w.Name, Annotations: map[string]string{}},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol},
			Ports: []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}},
		},
	}
	policy := corev1.IPFamilyPolicySingleStack
	switch w.Flavour {
	case SixOnly:
		service.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol}
	case DualStack, Local:
		service.Spec.IPFamilies = append(service.Spec.IPFamilies, corev1.IPv6Protocol)
		policy = corev1.IPFamilyPolicyRequireDualStack
	case Asking:
		service.Annotations[AddressesAnnotation] = w.Asked.String()
	case Shared:
		// Ports decide about who shares: each number has its own.
		service.Annotations[SharingAnnotation] = "soak"
		service.Spec.Ports[0].Port = int32(1000 + w.Number)
	}
	if w.Flavour == Local {
		service.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	}
	service.Spec.IPFamilyPolicy = &policy
	return service
}

// Change chooses an annotation to write, or to remove where the value is empty, and tells the flavour that the Service has then: it asks for
// an address or no longer does, or note is written, which is of no account.
func (w *Wish) Change(random *rand.Rand, note string) (key, value string, then Flavour) {
	if random.IntN(2) == 0 {
		switch w.Flavour {
		case Plain:
			return AddressesAnnotation, w.Asked.String(), Asking
		case Asking:
			// Who no longer asks keeps what it has.
			return AddressesAnnotation, "", Plain
		}
	}
	return "example.com/note", note, w.Flavour
}
