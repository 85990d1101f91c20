package kube

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
)

const protobuf = "application/vnd.kubernetes.protobuf"

// asked describes a request on the wire.
type asked struct {
	method, path string
	query        url.Values
	contentType  string
	accept       string
	agent        string
	body         string
}

// recorder returns an API server that records and refuses every request.
func recorder(t *testing.T) (server *httptest.Server, last func() asked) {
	requests := make(chan asked, 1)
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		requests <- asked{
			r.Method, r.URL.Path, r.URL.Query(), r.Header.Get("Content-Type"), r.Header.Get("Accept"), r.Header.Get("User-Agent"), string(body),
		}
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(server.Close)
	return server, func() asked { return <-requests }
}

// TestAsksLikeClientset sends the requests of this package with Lanlord's client and with client-go's clientset, and
// checks that both send the same bytes.
func TestAsksLikeClientset(t *testing.T) {
	server, last := recorder(t)
	ours, err := Connect(kubeconfig(t, server.URL), "lanlord-test")
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL, QPS: -1, UserAgent: "lanlord-test", ContentConfig: rest.ContentConfig{
		ContentType: protobuf, AcceptContentTypes: protobuf + ",application/json",
	}})
	if err != nil {
		t.Fatal(err)
	}
	meta := metav1.ObjectMeta{Namespace: "n", Name: "x", ResourceVersion: "7"}
	secret := &corev1.Secret{ObjectMeta: meta, Data: map[string][]byte{"key-1": {1, 2}}}
	lease := &coordinationv1.Lease{ObjectMeta: meta, Spec: coordinationv1.LeaseSpec{HolderIdentity: new("a")}}
	event := &corev1.Event{ObjectMeta: meta, Reason: "r"}
	first := metav1.ListOptions{
		ResourceVersion: "3", AllowWatchBookmarks: true, SendInitialEvents: new(true), TimeoutSeconds: new(int64(300)),
		ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan, FieldSelector: "metadata.name=x", LabelSelector: "a=b",
	}
	page := metav1.ListOptions{Limit: 500, Continue: "c"}
	manager := metav1.PatchOptions{FieldManager: "m"}
	core, ctx := theirs.CoreV1(), t.Context()
	for _, c := range []struct {
		ours   Request
		theirs func() error
	}{
		{Request{Verb: VerbList, Resource: services, Options: page}, second(func() (any, error) { return core.Services("").List(ctx, page) })},
		{Request{Resource: services, Options: first}, second(func() (any, error) { return core.Services("").Watch(ctx, first) })},
		{Request{Resource: configMaps, Namespace: "n", Options: first}, second(func() (any, error) { return core.ConfigMaps("n").Watch(ctx, first) })},
		{Request{Resource: secrets, Namespace: "n", Options: first}, second(func() (any, error) { return core.Secrets("n").Watch(ctx, first) })},
		{Request{Resource: pods, Namespace: "n", Options: first}, second(func() (any, error) { return core.Pods("n").Watch(ctx, first) })},
		{Request{Resource: nodes, Options: first}, second(func() (any, error) { return core.Nodes().Watch(ctx, first) })},
		{Request{Resource: namespaces, Options: first}, second(func() (any, error) { return core.Namespaces().Watch(ctx, first) })},
		{Request{Resource: endpointSlices, Options: first}, second(func() (any, error) {
			return theirs.DiscoveryV1().EndpointSlices("").Watch(ctx, first)
		})},
		{Request{Verb: VerbList, Resource: endpointSlices, Options: first}, second(func() (any, error) {
			return theirs.DiscoveryV1().EndpointSlices("").List(ctx, first)
		})},
		{Request{Verb: VerbPatch, Resource: services, Namespace: "n", Name: "x", Subresource: "status", Patch: []byte(`{"a":1}`),
			PatchType: types.StrategicMergePatchType, FieldManager: "m"}, second(func() (any, error) {
			return core.Services("n").Patch(ctx, "x", types.StrategicMergePatchType, []byte(`{"a":1}`), manager, "status")
		})},
		{Request{Verb: VerbPatch, Resource: pods, Namespace: "n", Name: "x", Subresource: "status", Patch: []byte(`{}`),
			PatchType: types.MergePatchType, FieldManager: "m"}, second(func() (any, error) {
			return core.Pods("n").Patch(ctx, "x", types.MergePatchType, []byte(`{}`), manager, "status")
		})},
		{Request{Verb: VerbCreate, Resource: secrets, Namespace: "n", Object: secret}, second(func() (any, error) {
			return core.Secrets("n").Create(ctx, secret, metav1.CreateOptions{})
		})},
		{Request{Verb: VerbGet, Resource: leases, Namespace: "n", Name: "x"}, second(func() (any, error) {
			return theirs.CoordinationV1().Leases("n").Get(ctx, "x", metav1.GetOptions{})
		})},
		{Request{Verb: VerbCreate, Resource: leases, Namespace: "n", Object: lease}, second(func() (any, error) {
			return theirs.CoordinationV1().Leases("n").Create(ctx, lease, metav1.CreateOptions{})
		})},
		{Request{Verb: VerbUpdate, Resource: leases, Namespace: "n", Name: "x", Object: lease}, second(func() (any, error) {
			return theirs.CoordinationV1().Leases("n").Update(ctx, lease, metav1.UpdateOptions{})
		})},
		{Request{Verb: VerbCreate, Resource: events, Namespace: "n", Object: event}, second(func() (any, error) {
			return core.Events("").CreateWithEventNamespaceWithContext(ctx, event)
		})},
		{Request{Verb: VerbUpdate, Resource: events, Namespace: "n", Name: "x", Object: event}, second(func() (any, error) {
			return core.Events("").UpdateWithEventNamespaceWithContext(ctx, event)
		})},
		{Request{Verb: VerbPatch, Resource: events, Namespace: "n", Name: "x", Patch: []byte(`{}`), PatchType: types.StrategicMergePatchType},
			second(func() (any, error) {
				return core.Events("").PatchWithEventNamespaceWithContext(ctx, event, []byte(`{}`))
			})},
	} {
		t.Run(fmt.Sprint(c.ours.Verb, " ", c.ours.Resource.Name), func(t *testing.T) {
			err := c.theirs()
			want := last()
			ourErr := ask(ctx, ours, c.ours)
			if got := last(); !reflect.DeepEqual(got, want) {
				t.Errorf("asked\n%+v\nwant\n%+v", got, want)
			}
			if !apierrors.IsForbidden(err) || ourErr == nil || ourErr.Error() != err.Error() {
				t.Errorf("the error is\n%v\nwant\n%v", ourErr, err)
			}
		})
	}
	if _, err := ours.Do(ctx, Request{Verb: "delete", Resource: services}); err == nil {
		t.Error("a verb that is none is no error")
	}
}

// second returns a function that drops the result of f and keeps the error.
func second(f func() (any, error)) func() error {
	return func() error {
		_, err := f()
		return err
	}
}

// ask makes a Request. A Request without a verb is a watch.
func ask(ctx context.Context, c Client, r Request) error {
	if r.Verb != "" {
		_, err := c.Do(ctx, r)
		return err
	}
	_, err := c.Watch(ctx, r)
	return err
}

// TestReads decodes objects of each kind in protobuf and in JSON, from lists and from watches.
func TestReads(t *testing.T) {
	objects := map[*Resource]runtime.Object{
		services:       &corev1.Service{Spec: corev1.ServiceSpec{ClusterIP: "10.0.0.1"}},
		configMaps:     &corev1.ConfigMap{Data: map[string]string{"a": "b"}},
		nodes:          &corev1.Node{Spec: corev1.NodeSpec{PodCIDR: "10.0.0.0/24"}},
		namespaces:     &corev1.Namespace{Status: corev1.NamespaceStatus{Phase: corev1.NamespaceActive}},
		pods:           &corev1.Pod{Spec: corev1.PodSpec{NodeName: "n"}},
		secrets:        &corev1.Secret{Data: map[string][]byte{"a": {1}}},
		events:         &corev1.Event{Reason: "r"},
		endpointSlices: &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4},
		leases:         &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{HolderIdentity: new("a")}},
	}
	if known := newScheme().KnownTypes(corev1.SchemeGroupVersion); known["Service"] == nil || known["ReplicationController"] != nil {
		t.Error("the scheme does not know Services, or knows what nobody asks for")
	}
	for _, media := range []string{protobuf, "application/json"} {
		for r, object := range objects {
			m, err := meta.Accessor(object)
			if err != nil {
				t.Fatal(err)
			}
			m.SetName("x")
			m.SetResourceVersion("7")
			t.Run(media+" "+r.Name, func(t *testing.T) { reads(t, media, r, object) })
		}
	}
}

func reads(t *testing.T, media string, r *Resource, object runtime.Object) {
	list := r.List()
	if err := meta.SetList(list, []runtime.Object{object}); err != nil {
		t.Fatal(err)
	}
	client := serve(t, func(w http.ResponseWriter, request *http.Request) {
		info, _ := runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), media)
		encoder := scheme.Codecs.EncoderForVersion(info.Serializer, r.GroupVersion())
		w.Header().Set("Content-Type", media)
		if !request.URL.Query().Has("watch") {
			if err := encoder.Encode(list, w); err != nil {
				t.Error(err)
			}
			return
		}
		if media == protobuf {
			w.Header().Set("Content-Type", media+";stream=watch")
		}
		embedded, err := runtime.Encode(scheme.Codecs.EncoderForVersion(info.Serializer, r.GroupVersion()), object)
		if err != nil {
			t.Error(err)
		}
		frames := info.StreamSerializer.Framer.NewFrameWriter(w)
		event := &metav1.WatchEvent{Type: string(watch.Added), Object: runtime.RawExtension{Raw: embedded}}
		if err := scheme.Codecs.EncoderForVersion(info.StreamSerializer.Serializer, r.GroupVersion()).Encode(event, frames); err != nil {
			t.Error(err)
		}
	})
	got, err := client.Do(t.Context(), Request{Verb: VerbList, Resource: r})
	if err != nil {
		t.Fatal(err)
	}
	items, err := meta.ExtractList(got)
	if err != nil || len(items) != 1 || !sameObject(items[0], object) {
		t.Errorf("listed %+v, %v, want %+v", items, err, object)
	}
	events, err := client.Watch(t.Context(), Request{Resource: r})
	if err != nil {
		t.Fatal(err)
	}
	defer events.Stop()
	select {
	case e := <-events.ResultChan():
		if e.Type != watch.Added || !sameObject(e.Object, object) {
			t.Errorf("watched %+v, want %+v", e, object)
		}
	case <-time.After(time.Minute):
		t.Error("no event")
	}
}

// sameObject compares two objects without their kinds, because only some encodings contain the kind.
func sameObject(a, b runtime.Object) bool {
	a, b = a.DeepCopyObject(), b.DeepCopyObject()
	for _, o := range []runtime.Object{a, b} {
		o.GetObjectKind().SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(""))
	}
	return reflect.DeepEqual(a, b)
}

// TestReadsRefusals decodes the reason of a refusal, which decides on the reaction.
func TestReadsRefusals(t *testing.T) {
	for _, media := range []string{protobuf, "application/json"} {
		t.Run(media, func(t *testing.T) {
			client := serve(t, func(w http.ResponseWriter, r *http.Request) {
				info, _ := runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), media)
				w.Header().Set("Content-Type", media)
				w.WriteHeader(http.StatusConflict)
				status := apierrors.NewAlreadyExists(corev1.Resource("secrets"), "x").Status()
				if err := scheme.Codecs.EncoderForVersion(info.Serializer, corev1.SchemeGroupVersion).Encode(&status, w); err != nil {
					t.Error(err)
				}
			})
			_, err := client.Do(t.Context(), Request{Verb: VerbCreate, Resource: secrets, Namespace: "n", Object: &corev1.Secret{}})
			if !apierrors.IsAlreadyExists(err) || !strings.Contains(err.Error(), `secrets "x" already exists`) {
				t.Errorf("%v", err)
			}
		})
	}
}
