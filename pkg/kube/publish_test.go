package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
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

// patchPod applies the rules of the API server for a patch of a Pod's status: the patch may change annotations, but no
// spec.
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
	// For maps of strings, the two kinds of patches have the same effect.
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

// written returns the annotation of the Pod speaker-1, and the number of writes.
func (a *fakeAPI) written() (text string, times int) {
	synctest.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.objects["pods"]["lanlord-system/speaker-1"].(*corev1.Pod).Annotations[NetworksAnnotation], len(a.patches)
}

// publishing runs a Publisher of the Pod speaker-1 in a bubble. test changes the published networks in known and then
// calls Wake.
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

		// A gateway that changes every second is written at most every ten seconds, and finally in its last state.
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

// TestPublisherStrangers checks that changes of foreign hosts are written at once while a link flaps.
func TestPublisherStrangers(t *testing.T) {
	api := newFakeAPI(pod("speaker-1", "n1", ""))
	publishing(t, api, "speaker-1", func(t *testing.T, p *Publisher, known *atomic.Pointer[cluster.Networks], _ *lines) {
		show := func(second, met int) {
			n := networksWith(fmt.Sprintf("192.0.2.%d", 1+second%2))
			for i := range met {
				n.Strangers = append(n.Strangers, stranger(fmt.Sprintf("192.0.2.%d", 100+i), "02:00:00:00:00:09", true))
			}
			known.Store(n)
			p.Wake()
		}
		told := func() int {
			text, _ := api.written()
			n, err := parseNetworks(text)
			if err != nil {
				t.Fatal(err)
			}
			return len(n.Strangers)
		}
		for second := range 15 {
			show(second, 0)
			time.Sleep(time.Second)
		}
		for met := 1; met <= strangersAtOnce; met++ {
			show(met, met)
			if n := told(); n != met {
				t.Errorf("told of %d strangers at once, want %d", n, met)
			}
		}
		show(0, strangersAtOnce+1)
		if n := told(); n != strangersAtOnce {
			t.Errorf("told of %d strangers at once, want no more than %d", n, strangersAtOnce)
		}
		time.Sleep(publishPause)
		if n := told(); n != strangersAtOnce+1 {
			t.Errorf("told of %d strangers after a pause, want the last one too", n)
		}

		// In the long run, there are at most two writes in each pause, because changes of both kinds share a write.
		_, before := api.written()
		const pauses = 20
		for second := range int(pauses * publishPause / time.Second) {
			show(second, second%3)
			time.Sleep(time.Second)
		}
		if _, n := api.written(); n-before > 2*pauses+2 || n-before < pauses {
			t.Errorf("%d writes in %d pauses", n-before, pauses)
		}
		// After a quiet time, the next change is written at once again.
		time.Sleep(strangersAtOnce * publishPause)
		show(0, 9)
		if n := told(); n != 9 {
			t.Errorf("told of %d strangers after a rest, want 9", n)
		}
	})
}

// TestManyForeignHostsCostFewWrites changes more hosts than the annotation holds every second.
func TestManyForeignHostsCostFewWrites(t *testing.T) {
	const minutes = 10
	for name, c := range map[string]struct{ changing, most int }{
		"within the bound": {0, strangersAtOnce + 1 + minutes*int(time.Minute/publishPause)},
		"beyond the bound": {mostStrangers + 10, 1},
	} {
		api := newFakeAPI(pod("speaker-1", "n1", ""))
		publishing(t, api, "speaker-1", func(t *testing.T, p *Publisher, known *atomic.Pointer[cluster.Networks], log *lines) {
			var all []cluster.Stranger
			for i := range mostStrangers + 100 {
				all = append(all, stranger(netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}).String(), "02:00:00:00:00:09", false))
			}
			for second := range int(minutes * time.Minute / time.Second) {
				n := &cluster.Networks{Strangers: slices.Clone(all)}
				n.Strangers[c.changing].MAC = fmt.Sprintf("02:00:00:00:00:%02x", second%256)
				known.Store(n)
				p.Wake()
				time.Sleep(time.Second)
			}
			if _, n := api.written(); n == 0 || n > c.most {
				t.Errorf("%s: %d writes in %d minutes, want %d at most", name, n, minutes, c.most)
			}
			if n := log.count("told the controller"); n > c.most {
				t.Errorf("%s: %d lines in the log in %d minutes, want %d at most", name, n, minutes, c.most)
			}
		})
	}
}

// TestPublishedIsSeen checks that a controller's Store reads the annotation of a speaker's Publisher.
func TestPublishedIsSeen(t *testing.T) {
	api := newFakeAPI(pod("speaker-1", "n1", ""))
	inBubble(t, api, func(t *testing.T, s *Store, wakes *counter, _ *lines) {
		var known atomic.Pointer[cluster.Networks]
		known.Store(networksWith("192.0.2.1"))
		p := NewPublisher(PublisherOptions{
			Client: api, Namespace: "lanlord-system", Pod: "speaker-1", Component: "lanlord-test",
			Networks: func() cluster.Networks { return *known.Load() }, Log: textLog(&lines{}),
		})
		done := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { done <- p.Run(ctx) }()
		synctest.Wait()
		for _, c := range []struct {
			met  []cluster.Stranger
			want string
		}{
			{[]cluster.Stranger{stranger("192.0.2.9", "02:00:00:00:00:09", true)}, "Gateway 192.0.2.1 n1; Stranger 192.0.2.9 02:00:00:00:00:09; 192.0.2.0/24"},
			{[]cluster.Stranger{stranger("192.0.2.9", "02:00:00:00:00:09", false)},
				"Gateway 192.0.2.1 n1; Conflict 192.0.2.9 02:00:00:00:00:09 false; 192.0.2.0/24"},
			{nil, "Gateway 192.0.2.1 n1; 192.0.2.0/24"},
		} {
			n := networksWith("192.0.2.1")
			n.Strangers = c.met
			known.Store(n)
			wakes.take()
			p.Wake()
			if wakes.take() == 0 {
				t.Errorf("%v: nobody is woken", c.met)
			}
			if got := facts(s.Snapshot()); got != c.want {
				t.Errorf("%v: %q, want %q", c.met, got, c.want)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestPublisherTriesAgain runs for a while without the API server, and then without the right.
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
		// This is the longest pause with its jitter.
		time.Sleep(lastPublishRetry * 3 / 2)
		if text, n := api.written(); text != says1 || n != 1 {
			t.Errorf("%q after %d writes, want %q after 1", text, n, says1)
		}
	})
}

// TestPublisherWithoutPod checks that the Publisher logs once that it writes nothing.
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
