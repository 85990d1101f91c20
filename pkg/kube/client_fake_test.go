package kube

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// fakeClient implements Client with client-go's fake clientset, including the reactors and the record of actions.
type fakeClient struct{ *fake.Clientset }

var (
	_ Client = fakeClient{}
	_ Client = (*fakeAPI)(nil)
	_ Client = (*restClient)(nil)
)

func (c fakeClient) Do(_ context.Context, r Request) (runtime.Object, error) {
	of := schema.GroupVersionResource{Group: r.Resource.Group, Version: r.Resource.Version, Resource: r.Resource.Name}
	var action clienttesting.Action
	switch r.Verb {
	case VerbGet:
		action = clienttesting.NewGetAction(of, r.Namespace, r.Name)
	case VerbCreate:
		action = clienttesting.NewCreateAction(of, r.Namespace, r.Object)
	case VerbUpdate:
		action = clienttesting.NewUpdateAction(of, r.Namespace, r.Object)
	case VerbPatch:
		action = clienttesting.NewPatchSubresourceAction(of, r.Namespace, r.Name, r.PatchType, r.Patch, r.Subresource)
	case VerbList:
		action = clienttesting.NewListActionWithOptions(of, r.Resource.GroupVersionKind, r.Namespace, r.Options)
		list, err := c.Invokes(action, r.Resource.List())
		if err != nil {
			return nil, err
		}
		return list, selected(list, r.Options.LabelSelector)
	default:
		return nil, fmt.Errorf("no such verb: %q", r.Verb)
	}
	return c.Invokes(action, r.Resource.Object())
}

// selected reduces a list to the objects that match a label selector.
func selected(list runtime.Object, selector string) error {
	labelled, err := labels.Parse(selector)
	if err != nil {
		return err
	}
	all, err := meta.ExtractList(list)
	if err != nil {
		return err
	}
	rest := all[:0]
	for _, o := range all {
		m, err := meta.Accessor(o)
		if err != nil {
			return err
		}
		if labelled.Matches(labels.Set(m.GetLabels())) {
			rest = append(rest, o)
		}
	}
	return meta.SetList(list, rest)
}

func (c fakeClient) Watch(_ context.Context, r Request) (watch.Interface, error) {
	of := schema.GroupVersionResource{Group: r.Resource.Group, Version: r.Resource.Version, Resource: r.Resource.Name}
	return c.InvokesWatch(clienttesting.NewWatchActionWithOptions(of, r.Namespace, r.Options))
}
