package kube

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
)

// Client makes requests of the API server. [Connect] returns a Client that knows only the kinds of this package:
// client-go's clientset would hold all types of Kubernetes in the memory of every process.
type Client interface {
	// Do makes one request and returns the object in the answer.
	Do(context.Context, Request) (runtime.Object, error)
	// Watch starts a watch with Resource, Namespace and Options of the Request.
	Watch(context.Context, Request) (watch.Interface, error)
}

// Verb is the verb of a Request, in the words of Kubernetes' access rights.
type Verb string

// The verbs of [Client.Do].
const (
	VerbGet    Verb = "get"
	VerbList   Verb = "list"
	VerbCreate Verb = "create"
	VerbUpdate Verb = "update"
	VerbPatch  Verb = "patch"
)

// Request is a request to the API server.
type Request struct {
	Verb     Verb
	Resource *Resource
	// Namespace is empty for cluster-scoped objects, and to list or watch all namespaces.
	Namespace string
	// Name is empty for list, watch and create.
	Name string
	// Subresource names a subresource such as "status"; empty means the whole object.
	Subresource string
	// Options apply to List and Watch.
	Options metav1.ListOptions
	// Object is the object to create or update.
	Object runtime.Object
	// Patch is a patch of type PatchType.
	Patch     []byte
	PatchType types.PatchType
	// FieldManager is the name in managedFields for a Patch. If FieldManager is empty, the API server derives the name
	// from the user agent.
	FieldManager string
}

// Resource is a kind of object.
type Resource struct {
	schema.GroupVersionKind
	// Name is the plural name in paths and access rights, like "services".
	Name string
	// Object and List return an empty object and an empty list.
	Object, List func() runtime.Object
}

func resource[T any, P interface {
	*T
	runtime.Object
}, L any, LP interface {
	*L
	runtime.Object
}](group schema.GroupVersion, kind, name string) *Resource {
	return &Resource{
		GroupVersionKind: group.WithKind(kind), Name: name,
		Object: func() runtime.Object { return P(new(T)) },
		List:   func() runtime.Object { return LP(new(L)) },
	}
}

// These are the resources that the daemons use.
var (
	services       = resource[corev1.Service, *corev1.Service, corev1.ServiceList](corev1.SchemeGroupVersion, "Service", "services")
	configMaps     = resource[corev1.ConfigMap, *corev1.ConfigMap, corev1.ConfigMapList](corev1.SchemeGroupVersion, "ConfigMap", "configmaps")
	nodes          = resource[corev1.Node, *corev1.Node, corev1.NodeList](corev1.SchemeGroupVersion, "Node", "nodes")
	namespaces     = resource[corev1.Namespace, *corev1.Namespace, corev1.NamespaceList](corev1.SchemeGroupVersion, "Namespace", "namespaces")
	pods           = resource[corev1.Pod, *corev1.Pod, corev1.PodList](corev1.SchemeGroupVersion, "Pod", "pods")
	secrets        = resource[corev1.Secret, *corev1.Secret, corev1.SecretList](corev1.SchemeGroupVersion, "Secret", "secrets")
	events         = resource[corev1.Event, *corev1.Event, corev1.EventList](corev1.SchemeGroupVersion, "Event", "events")
	endpointSlices = resource[discoveryv1.EndpointSlice, *discoveryv1.EndpointSlice, discoveryv1.EndpointSliceList](
		discoveryv1.SchemeGroupVersion, "EndpointSlice", "endpointslices")
	leases = resource[coordinationv1.Lease, *coordinationv1.Lease, coordinationv1.LeaseList](
		coordinationv1.SchemeGroupVersion, "Lease", "leases")
)

// newScheme returns a scheme with the kinds that the daemons use.
func newScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, r := range []*Resource{services, configMaps, nodes, namespaces, pods, secrets, events, endpointSlices, leases, gateways} {
		s.AddKnownTypeWithName(r.GroupVersionKind, r.Object())
		s.AddKnownTypeWithName(r.GroupVersion().WithKind(r.Kind+"List"), r.List())
	}
	metav1.AddToGroupVersion(s, schema.GroupVersion{Version: "v1"}) // Status answers a failed request
	for _, group := range []schema.GroupVersion{discoveryv1.SchemeGroupVersion, coordinationv1.SchemeGroupVersion, gatewayVersion} {
		metav1.AddToGroupVersion(s, group)
	}
	addCustomTypes(s)
	return s
}

// restClient implements Client with a real API server.
type restClient struct {
	groups     map[schema.GroupVersion]rest.Interface
	parameters runtime.ParameterCodec
}

// newRESTClient returns a client for cfg. All requests share one connection.
func newRESTClient(cfg *rest.Config) (*restClient, error) {
	transport, err := clientFor(cfg)
	if err != nil {
		return nil, err
	}
	scheme := newScheme()
	c := &restClient{groups: make(map[schema.GroupVersion]rest.Interface), parameters: runtime.NewParameterCodec(scheme)}
	codecs := serializer.NewCodecFactory(scheme).WithoutConversion()
	for group, path := range map[schema.GroupVersion]string{
		corev1.SchemeGroupVersion: "/api", discoveryv1.SchemeGroupVersion: "/apis", coordinationv1.SchemeGroupVersion: "/apis",
		gatewayVersion: "/apis",
	} {
		of := rest.CopyConfig(cfg)
		of.APIPath, of.GroupVersion, of.NegotiatedSerializer = path, &group, codecs
		if c.groups[group], err = rest.RESTClientForConfigAndClient(of, transport); err != nil {
			return nil, err
		}
	}
	for _, group := range metallbVersions {
		of := rest.CopyConfig(cfg)
		of.APIPath, of.GroupVersion, of.NegotiatedSerializer = "/apis", &group, codecs
		// Custom resources have no protobuf.
		of.ContentType, of.AcceptContentTypes = runtime.ContentTypeJSON, runtime.ContentTypeJSON
		if c.groups[group], err = rest.RESTClientForConfigAndClient(of, transport); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Do implements [Client].
func (c *restClient) Do(ctx context.Context, r Request) (runtime.Object, error) {
	group, result := c.groups[r.Resource.GroupVersion()], r.Resource.Object()
	var request *rest.Request
	switch r.Verb {
	case VerbGet:
		request = group.Get()
	case VerbList:
		request, result = c.narrow(group.Get(), r.Options), r.Resource.List()
	case VerbCreate:
		request = group.Post().Body(r.Object)
	case VerbUpdate:
		request = group.Put().Body(r.Object)
	case VerbPatch:
		request = group.Patch(r.PatchType).Body(r.Patch).VersionedParams(&metav1.PatchOptions{FieldManager: r.FieldManager}, c.parameters)
	default:
		return nil, fmt.Errorf("no such verb: %q", r.Verb)
	}
	request = request.NamespaceIfScoped(r.Namespace, r.Namespace != "").Resource(r.Resource.Name)
	if r.Name != "" {
		request = request.Name(r.Name)
	}
	if r.Subresource != "" {
		request = request.SubResource(r.Subresource)
	}
	err := request.Do(ctx).Into(result)
	return result, err
}

// Watch implements [Client].
func (c *restClient) Watch(ctx context.Context, r Request) (watch.Interface, error) {
	r.Options.Watch = true
	return c.narrow(c.groups[r.Resource.GroupVersion()].Get(), r.Options).
		NamespaceIfScoped(r.Namespace, r.Namespace != "").Resource(r.Resource.Name).Watch(ctx)
}

// narrow adds the options of a list or watch to a request.
func (c *restClient) narrow(request *rest.Request, o metav1.ListOptions) *rest.Request {
	if o.TimeoutSeconds != nil {
		request = request.Timeout(time.Duration(*o.TimeoutSeconds) * time.Second)
	}
	return request.VersionedParams(&o, c.parameters)
}

// do makes a request and returns the answer as a T.
func do[T runtime.Object](ctx context.Context, c Client, r Request) (T, error) {
	o, err := c.Do(ctx, r)
	if err != nil {
		var none T
		return none, err
	}
	return o.(T), nil
}
