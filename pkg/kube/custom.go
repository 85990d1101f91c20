package kube

import (
	"bytes"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/metallb"
)

// metallbGroup is the API group of MetalLB's resources.
const metallbGroup = "metallb.io"

// metallbVersions are the versions of the group that [metallb.Kinds] names.
var metallbVersions = [...]schema.GroupVersion{
	{Group: metallbGroup, Version: "v1beta1"}, {Group: metallbGroup, Version: "v1beta2"},
}

// customObject is a resource of MetalLB. The spec stays as the API server sent it.
type customObject struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Spec runtime.RawExtension `json:"spec"`
}

// DeepCopyObject implements [runtime.Object].
func (o *customObject) DeepCopyObject() runtime.Object {
	c := &customObject{TypeMeta: o.TypeMeta}
	o.ObjectMeta.DeepCopyInto(&c.ObjectMeta)
	c.Spec.Raw = bytes.Clone(o.Spec.Raw)
	return c
}

// customList is a list of resources of one kind.
type customList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`

	Items []customObject `json:"items"`
}

// DeepCopyObject implements [runtime.Object].
func (l *customList) DeepCopyObject() runtime.Object {
	c := &customList{TypeMeta: l.TypeMeta, Items: copied(l.Items)}
	l.ListMeta.DeepCopyInto(&c.ListMeta)
	return c
}

// copied returns deep copies of the items of a list.
func copied[T any, P interface {
	*T
	runtime.Object
}](items []T) []T {
	copies := make([]T, len(items))
	for i := range items {
		copies[i] = *P(&items[i]).DeepCopyObject().(P)
	}
	return copies
}

// customResource returns the resource of a kind of MetalLB.
func customResource(k metallb.Kind) *Resource {
	return &Resource{
		GroupVersionKind: schema.GroupVersionKind{Group: metallbGroup, Version: k.Version, Kind: k.Name}, Name: k.Plural,
		Object: func() runtime.Object { return new(customObject) },
		List:   func() runtime.Object { return new(customList) },
	}
}

// addCustomTypes adds the kinds of MetalLB to a scheme.
func addCustomTypes(s *runtime.Scheme) {
	for _, k := range metallb.Kinds() {
		kind := customResource(k).GroupVersionKind
		s.AddKnownTypeWithName(kind, new(customObject))
		kind.Kind += "List"
		s.AddKnownTypeWithName(kind, new(customList))
	}
	for _, version := range metallbVersions {
		metav1.AddToGroupVersion(s, version)
	}
}

// customRow holds the parts of a resource of MetalLB that the Store keeps.
type customRow struct {
	uid string
	// text is the resource in JSON, without irrelevant metadata. Resources with equal texts have the same meaning.
	text []byte
}

// same reports whether two versions of a resource mean the same. nil stands for a resource that does not exist.
func (r *customRow) same(other *customRow) bool {
	if r == nil || other == nil {
		return r == other
	}
	return r.uid == other.uid && bytes.Equal(r.text, other.text)
}

// convertCustom returns the row of a resource of this kind.
func convertCustom(k metallb.Kind, o *customObject) (customRow, bool) {
	text, err := k.Object(o.Name, o.Namespace, o.Labels, o.Spec.Raw)
	// The decoder rejects a spec that is not JSON.
	return customRow{string(o.UID), text}, err == nil
}

// customRef returns a reference to a resource of MetalLB for an Event.
func customRef(k metallb.Kind, namespace, name, uid string) cluster.ObjectRef {
	return cluster.ObjectRef{
		APIVersion: metallbGroup + "/" + k.Version, Kind: k.Name, Namespace: namespace, Name: name, UID: uid,
	}
}
