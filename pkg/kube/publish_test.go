package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	clienttesting "k8s.io/client-go/testing"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// patchPod obeys the rules of the API server for the status of a Pod, which a patch may bring annotations with, but no spec.
func (a *fakeAPI) patchPod(p clienttesting.PatchActionImpl) (runtime.Object, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	group := schema.GroupResource{Resource: "pods"}
	if a.down != nil {
		return nil, a.down
	}
	if p.Subresource != "status" || p.PatchType != types.MergePatchType {
		return nil, apierrors.NewForbidden(group, p.Name, errors.New("only pods/status may be patched"))
	}
	a.patches = append(a.patches, string(p.Patch))
	old, ok := a.objects["pods"][p.Namespace+"/"+p.Name].(*corev1.Pod)
	if !ok {
		return nil, apierrors.NewNotFound(group, p.Name)
	}
	text, err := json.Marshal(old)
	if err != nil {
		return nil, err
	}
	// For maps of strings the two kinds of patches are the same.
	if text, err = strategicpatch.StrategicMergePatch(text, p.Patch, &corev1.Pod{}); err != nil {
		return nil, err
	}
	next := &corev1.Pod{}
	if err := json.Unmarshal(text, next); err != nil {
		return nil, err
	}
	next.Spec = old.Spec
	a.store("pods", next)
	return next.DeepCopy(), nil
}

// written returns the annotation of the Pod speaker-1, and how often it was written.
func (a *fakeAPI) written() (text string, times int) {
	synctest.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.objects["pods"]["lanlord-system/speaker-1"].(*corev1.Pod).Annotations[NetworksAnnotation], len(a.patches)
}

// publishing runs a Publisher of the Pod speaker-1 in a bubble. test is given what it publishes, to be changed before Wake.
func publishing(t *testing.T, api *fakeAPI, podName string, test func(t *testing.T, p *Publisher, known *atomic.Pointer[cluster.Networks], log *lines)) {
	synctest.Test(t, func(t *testing.T) {
		var known atomic.Pointer[cluster.Networks]
		known.Store(&cluster.Networks{})
		log := &lines{}
		p := NewPublisher(PublisherOptions{
			Client: api, Namespace: "lanlord-system", Pod: podName, Component: "lanlord-test",
			Networks: func() cluster.Networks { return *known.Load() }, Log: textLog(log),
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		test(t, p, &known, log)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v, want nil when its context ends", err)
		}
	})
}

func networksWith(gateway string) *cluster.Networks {
	return &cluster.Networks{Subnets: prefixes("192.0.2.7/24"), Gateways: addrs(gateway)}
}

func TestPublisher(t *testing.T) {
	api := newFakeAPI(pod("speaker-1", "n1", ""))
	publishing(t, api, "speaker-1", func(t *testing.T, p *Publisher, known *atomic.Pointer[cluster.Networks], _ *lines) {
		expect := func(when, want string, times int) {
			t.Helper()
			if text, n := api.written(); text != want || n != times {
				t.Errorf("%s: %q after %d writes, want %q after %d", when, text, n, want, times)
			}
		}
		p.Wake()
		expect("before anything is known", "", 0)
		known.Store(networksWith("192.0.2.1"))
		p.Wake()
		expect("at once", says1, 1)

		time.Sleep(time.Hour)
		p.Wake()
		expect("nothing new", says1, 1)

		// A gateway that changes every second is written at most every ten seconds, and in the end as it is.
		for i := range 61 {
			known.Store(networksWith(fmt.Sprintf("192.0.2.%d", 1+i%2)))
			p.Wake()
			time.Sleep(time.Second)
		}
		known.Store(networksWith("192.0.2.2"))
		p.Wake()
		time.Sleep(publishPause)
		if text, n := api.written(); text != says2 || n > 9 {
			t.Errorf("%q after %d writes, want %q after at most 9", text, n, says2)
		}

		_, before := api.written()
		time.Sleep(publishPause)
		known.Store(&cluster.Networks{})
		p.Wake()
		expect("known no more", "{}", before+1)
	})
}

// TestPublisherTriesAgain is without the API server, and then without the right, for a while.
func TestPublisherTriesAgain(t *testing.T) {
	api := newFakeAPI(pod("speaker-1", "n1", ""))
	publishing(t, api, "speaker-1", func(t *testing.T, p *Publisher, known *atomic.Pointer[cluster.Networks], log *lines) {
		api.fail(&apiDown{})
		known.Store(networksWith("192.0.2.1"))
		p.Wake()
		time.Sleep(30 * time.Minute)
		api.fail(apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "speaker-1", errors.New("no")))
		time.Sleep(30 * time.Minute)
		if n := log.count("trying again"); n != 1 {
			t.Errorf("%d lines, want 1:\n%s", n, log.text.String())
		}
		api.fail(nil)
		// The longest pause with its jitter.
		time.Sleep(lastPublishRetry * 3 / 2)
		if text, n := api.written(); text != says1 || n != 1 {
			t.Errorf("%q after %d writes, want %q after 1", text, n, says1)
		}
	})
}

// TestPublisherWithoutPod says once that nothing is written.
func TestPublisherWithoutPod(t *testing.T) {
	api := newFakeAPI(pod("speaker-1", "n1", ""))
	publishing(t, api, "", func(t *testing.T, p *Publisher, known *atomic.Pointer[cluster.Networks], log *lines) {
		for range 3 {
			known.Store(networksWith("192.0.2.1"))
			p.Wake()
			time.Sleep(time.Minute)
		}
		if text, n := api.written(); text != "" || n != 0 {
			t.Errorf("%q after %d writes, want none", text, n)
		}
		if n := log.count("the controller will not know"); n != 1 || log.count("\n") != 1 {
			t.Errorf("want one line:\n%s", log.text.String())
		}
	})
}
