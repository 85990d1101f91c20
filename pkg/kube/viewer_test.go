package kube

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
)

// answering gives every request the same answer.
type answering struct {
	object   runtime.Object
	err      error
	requests []Request
}

func (a *answering) Do(_ context.Context, r Request) (runtime.Object, error) {
	a.requests = append(a.requests, r)
	return a.object, a.err
}

func (a *answering) Watch(context.Context, Request) (watch.Interface, error) {
	return nil, errors.New("nothing is watched")
}

// TestViewerKey checks that Get reads the Secret on request and seldom, and repeats no text of the API server.
func TestViewerKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answering{object: &corev1.Secret{Data: map[string][]byte{"key-1": []byte("0123456789abcdef")}}}
		v := NewViewerKey(a, "n")
		for range 29 {
			if key, err := v.Get(t.Context()); err != nil || string(key) != "0123456789abcdef" {
				t.Fatalf("%s, %v", key, err)
			}
			time.Sleep(time.Second)
		}
		if len(a.requests) != 1 || a.requests[0].Verb != VerbGet || a.requests[0].Name != ViewerSecret ||
			a.requests[0].Namespace != "n" {
			t.Errorf("made the requests %+v", a.requests)
		}
		group := schema.GroupResource{Resource: "secrets"}
		for _, c := range []struct {
			object runtime.Object
			err    error
			want   string
		}{
			{nil, apierrors.NewNotFound(group, ViewerSecret), "there is no Secret n/lanlord-viewer"},
			{nil, apierrors.NewForbidden(group, ViewerSecret, errors.New("somebody may not")),
				"this process may not read the Secret n/lanlord-viewer"},
			{nil, errors.New("dial tcp 192.0.2.1: somebody"), "the Secret n/lanlord-viewer could not be read"},
			{&corev1.Secret{}, nil, "the Secret n/lanlord-viewer has no entry key-1"},
		} {
			time.Sleep(time.Minute)
			a.object, a.err, a.requests = c.object, c.err, nil
			for range 10 {
				if key, err := v.Get(t.Context()); key != nil || err == nil || err.Error() != c.want {
					t.Errorf("%s, %v, want %s", key, err, c.want)
				}
			}
			if len(a.requests) != 1 {
				t.Errorf("%s: %d requests at once", c.want, len(a.requests))
			}
		}
	})
}

// TestProcesses lists the running processes with the addresses of their ports.
func TestProcesses(t *testing.T) {
	pod := func(name, ip string, phase corev1.PodPhase, args ...string) corev1.Pod {
		return corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Args: args}}},
			Status:     corev1.PodStatus{PodIP: ip, Phase: phase},
		}
	}
	a := &answering{object: &corev1.PodList{Items: []corev1.Pod{
		pod("usual", "192.0.2.1", corev1.PodRunning, "--log-level=info"),
		pod("other-port", "2001:db8::1", corev1.PodRunning, "--listen=:9999"),
		pod("one-address", "192.0.2.2", corev1.PodRunning, "--listen=192.0.2.2:9998"),
		pod("no-port", "192.0.2.3", corev1.PodRunning, "--listen="),
		pod("port-0", "192.0.2.3", corev1.PodRunning, "--listen=:0"),
		pod("no-address", "", corev1.PodRunning),
		pod("waits", "192.0.2.4", corev1.PodPending),
		pod("ended", "192.0.2.4", corev1.PodFailed),
	}}}
	all, err := Processes(t.Context(), a, "n")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"usual": "192.0.2.1:7572", "other-port": "[2001:db8::1]:9999", "one-address": "192.0.2.2:9998",
		"no-port": "names no port", "port-0": "names no port", "no-address": "has no address",
	}
	if len(all) != len(want) {
		t.Errorf("found %+v", all)
	}
	for _, p := range all {
		got := p.Addr.String()
		if p.Problem != nil {
			got = p.Problem.Error()
		}
		if want[p.Pod] == "" || !strings.Contains(got, want[p.Pod]) {
			t.Errorf("%s: %s, want %s", p.Pod, got, want[p.Pod])
		}
	}
	a.object, a.err = nil, errors.New("no")
	if _, err := Processes(t.Context(), a, "n"); err == nil {
		t.Error("an error is not returned")
	}
}
