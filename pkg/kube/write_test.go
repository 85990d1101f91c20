package kube

import (
	"encoding/json"
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// assign returns an update of the Service s that assigns the addresses.
func assign(s *cluster.Service, ips ...string) cluster.Update {
	u := cluster.Update{
		Key: s.Key, UID: s.UID, Version: s.Version, AllocatedFrom: "lan",
		Condition: &cluster.Condition{True: true, Reason: "Assigned", Message: "from pool lan"},
	}
	for _, ip := range ips {
		u.Ingress = append(u.Ingress, netip.MustParseAddr(ip))
	}
	return u
}

// stored returns a Service in the state of the API server.
func (a *fakeAPI) stored(name string) *corev1.Service {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.objects["services"]["a/"+name].(*corev1.Service).DeepCopy()
}

func TestWrite(t *testing.T) {
	foreign := metav1.Condition{Type: "other/Condition", Status: metav1.ConditionTrue, Reason: "R", Message: "m"}
	s0 := service("s")
	s0.Annotations = map[string]string{"mine": "1"}
	s0.Status.Conditions = []metav1.Condition{foreign}
	api := newFakeAPI(s0)
	inBubble(t, api, func(t *testing.T, s *Store, wakes *counter, _ *lines) {
		write := func(u cluster.Update) *corev1.Service {
			t.Helper()
			if err := s.Write(t.Context(), u); err != nil {
				t.Fatal(err)
			}
			return api.stored("s")
		}
		seen := func() *cluster.Service { return s.Snapshot().Services[0] }

		o := write(assign(seen(), "192.168.56.11", "fd00::1"))
		vip := corev1.LoadBalancerIPModeVIP
		want := []corev1.LoadBalancerIngress{{IP: "192.168.56.11", IPMode: &vip}, {IP: "fd00::1", IPMode: &vip}}
		if !slices.EqualFunc(o.Status.LoadBalancer.Ingress, want, sameJSON[corev1.LoadBalancerIngress]) {
			t.Errorf("ingress %+v, want both as VIP", o.Status.LoadBalancer.Ingress)
		}
		if o.Annotations[AllocatedFromAnnotation] != "lan" || o.Annotations["mine"] != "1" {
			t.Errorf("annotations %v, want ours beside the others", o.Annotations)
		}
		if len(o.Status.Conditions) != 2 || !sameJSON(o.Status.Conditions[0], foreign) && !sameJSON(o.Status.Conditions[1], foreign) {
			t.Errorf("conditions %+v, want ours beside the others", o.Status.Conditions)
		}
		since := ours(t, o).LastTransitionTime
		if since.IsZero() {
			t.Error("no lastTransitionTime")
		}

		time.Sleep(time.Minute)
		u := assign(seen(), "192.168.56.12")
		u.Condition.Message = "another message"
		o = write(u)
		if c := ours(t, o); c.Message != "another message" || !c.LastTransitionTime.Equal(&since) {
			t.Errorf("condition %+v, want the new message and the time unchanged: the status is the same", c)
		}
		if len(o.Status.LoadBalancer.Ingress) != 1 {
			t.Errorf("ingress %+v, want the old addresses replaced", o.Status.LoadBalancer.Ingress)
		}

		u = assign(seen())
		u.AllocatedFrom, u.Condition = "", &cluster.Condition{Reason: "PoolFull", Message: "none left"}
		o = write(u)
		if c := ours(t, o); c.Status != metav1.ConditionFalse || c.LastTransitionTime.Equal(&since) {
			t.Errorf("condition %+v, want False and a new time", c)
		}
		if _, there := o.Annotations[AllocatedFromAnnotation]; there || len(o.Status.LoadBalancer.Ingress) != 0 {
			t.Errorf("%v %+v, want no annotation and no ingress", o.Annotations, o.Status.LoadBalancer)
		}

		u = assign(seen(), "192.168.56.12")
		u.Conflict = &cluster.Condition{True: true, Reason: "AddressConflict", Message: "by a stranger"}
		write(u)
		if got := seen(); got.Condition == nil || got.Conflict == nil || got.Conflict.Message != "by a stranger" || got.Conflict.Since.IsZero() {
			t.Errorf("conditions %+v and %+v, want both", got.Condition, got.Conflict)
		}

		u = assign(seen())
		u.AllocatedFrom, u.Condition = "", nil
		o = write(u)
		if len(o.Status.Conditions) != 1 || !sameJSON(o.Status.Conditions[0], foreign) {
			t.Errorf("conditions %+v, want only the other one left", o.Status.Conditions)
		}
		wakes.take()
	})
}

func sameJSON[T any](a, b T) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

func ours(t *testing.T, o *corev1.Service) metav1.Condition {
	t.Helper()
	for _, c := range o.Status.Conditions {
		if c.Type == ConditionType {
			return c
		}
	}
	t.Fatalf("our condition is not in %+v", o.Status.Conditions)
	return metav1.Condition{}
}

// TestStatusPatch checks the text of the patch, which is the contract with the API server.
func TestStatusPatch(t *testing.T) {
	now := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	seen := cluster.Service{Key: cluster.Key{Namespace: "a", Name: "s"}, UID: "u", Version: "7"}
	refused := seen
	refused.Condition = &cluster.Condition{Reason: "PoolFull"}
	contested, told := seen, assign(&seen, "10.0.0.1")
	contested.Condition, contested.Conflict = told.Condition, &cluster.Condition{True: true, Reason: "AddressConflict", Message: "by one"}
	told.Conflict = &cluster.Condition{True: true, Reason: "AddressConflict", Message: "by two"}
	const sameAssigned = `{"metadata":{"uid":"u","resourceVersion":"7","annotations":{"lanlord.io/ip-allocated-from-pool":"lan"}},` +
		`"status":{"loadBalancer":{"ingress":[{"ip":"10.0.0.1","ipMode":"VIP"}]},"conditions":[{"type":"lanlord.io/AddressAssigned",` +
		`"status":"True","reason":"Assigned","message":"from pool lan"},`
	clear := cluster.Update{Key: seen.Key, UID: "u", Version: "7"}
	for _, c := range []struct {
		name string
		u    cluster.Update
		row  serviceRow
		want string
	}{
		{"assign", assign(&seen, "10.0.0.1"), serviceRow{service: seen, generation: 3},
			`{"metadata":{"uid":"u","resourceVersion":"7","annotations":{"lanlord.io/ip-allocated-from-pool":"lan"}},` +
				`"status":{"loadBalancer":{"ingress":[{"ip":"10.0.0.1","ipMode":"VIP"}]},"conditions":[{"type":"lanlord.io/AddressAssigned",` +
				`"status":"True","observedGeneration":3,"lastTransitionTime":"2026-05-01T10:00:00Z","reason":"Assigned","message":"from pool lan"}]}}`},
		{"clear with a condition", clear, serviceRow{service: refused},
			`{"metadata":{"uid":"u","resourceVersion":"7","annotations":{"lanlord.io/ip-allocated-from-pool":null}},` +
				`"status":{"loadBalancer":{"ingress":null},"conditions":[{"$patch":"delete","type":"lanlord.io/AddressAssigned"}]}}`},
		{"clear without", clear, serviceRow{service: seen},
			`{"metadata":{"uid":"u","resourceVersion":"7","annotations":{"lanlord.io/ip-allocated-from-pool":null}},` +
				`"status":{"loadBalancer":{"ingress":null}}}`},
		{"another conflict", told, serviceRow{service: contested}, sameAssigned +
			`{"type":"lanlord.io/AddressConflict","status":"True","reason":"AddressConflict","message":"by two"}]}}`},
		{"a conflict is over", assign(&seen, "10.0.0.1"), serviceRow{service: contested}, sameAssigned +
			`{"$patch":"delete","type":"lanlord.io/AddressConflict"}]}}`},
		{"keep what is another's", cluster.Update{Key: seen.Key, UID: "u", Version: "7", KeepIngress: true}, serviceRow{service: refused},
			`{"metadata":{"uid":"u","resourceVersion":"7","annotations":{"lanlord.io/ip-allocated-from-pool":null}},` +
				`"status":{"conditions":[{"$patch":"delete","type":"lanlord.io/AddressAssigned"}]}}`},
	} {
		got, err := statusPatch(c.u, &c.row, now)
		if err != nil || string(got) != c.want {
			t.Errorf("%s:\n%s %v\nwant\n%s", c.name, got, err, c.want)
		}
	}
}

// TestWriteRoutes writes, changes and removes the condition about routers. All other fields stay, and the condition
// disappears together with the addresses.
func TestWriteRoutes(t *testing.T) {
	api := newFakeAPI(service("s"))
	inBubble(t, api, func(t *testing.T, s *Store, _ *counter, _ *lines) {
		seen := func() *cluster.Service { return s.Snapshot().Services[0] }
		if err := s.Write(t.Context(), assign(seen(), "10.0.0.1")); err != nil {
			t.Fatal(err)
		}
		before := *seen()
		for _, c := range []*cluster.Condition{
			{True: true, Reason: "Routed", Message: "by 2 nodes"}, {True: true, Reason: "Routed", Message: "by 3 nodes"},
			{Reason: "NotRouted", Message: "by no node"}, nil,
		} {
			u := cluster.RoutesUpdate{Key: before.Key, UID: before.UID, Version: seen().Version, Condition: c}
			if err := s.WriteRoutes(t.Context(), u); err != nil {
				t.Fatal(err)
			}
			is := *seen()
			if got := is.Routes; (got == nil) != (c == nil) || c != nil && (got.True != c.True || got.Message != c.Message) {
				t.Errorf("written %+v, read %+v", c, is.Routes)
			}
			if err := s.WriteRoutes(t.Context(), u); c != nil && !errors.Is(err, cluster.ErrChanged) {
				t.Errorf("written twice from one version: %v", err)
			}
			is.Version, is.Routes = before.Version, nil
			if !reflect.DeepEqual(is, before) {
				t.Errorf("with %+v the Service has changed to\n%+v, was\n%+v", c, is, before)
			}
		}
		c := &cluster.Condition{True: true, Reason: "Routed", Message: "by 2 nodes"}
		u := cluster.RoutesUpdate{Key: before.Key, UID: before.UID, Version: seen().Version, Condition: c}
		if err := s.WriteRoutes(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		clear := cluster.Update{Key: before.Key, UID: before.UID, Version: seen().Version}
		if err := s.Write(t.Context(), clear); err != nil {
			t.Fatal(err)
		}
		if list := s.Snapshot().Services; len(list) != 1 || list[0].Marked() {
			t.Errorf("something of Lanlord's is left: %+v", *list[0])
		}
	})
}

func TestOwnWritesShow(t *testing.T) {
	api := newFakeAPI(service("s"), service("t"))
	inBubble(t, api, func(t *testing.T, s *Store, wakes *counter, _ *lines) {
		seen := func(i int) *cluster.Service { return s.Snapshot().Services[i] }
		api.hold("services")
		for _, ip := range []string{"192.168.56.11", "192.168.56.12"} {
			if err := s.Write(t.Context(), assign(seen(0), ip)); err != nil {
				t.Fatalf("write on the result of the last one: %v", err)
			}
			if got := seen(0).Ingress; len(got) != 1 || got[0].String() != ip {
				t.Errorf("ingress %v, want %s before the watch shows it", got, ip)
			}
			if n := wakes.take(); n != 1 {
				t.Errorf("%d wake-ups after a write, want 1", n)
			}
		}
		if v, want := seen(0).Version, api.stored("s").ResourceVersion; v != want {
			t.Errorf("version %s, want %s", v, want)
		}
		api.release("services")
		if n := wakes.take(); n != 0 {
			t.Errorf("%d wake-ups for the echo of our own writes", n)
		}
		if s.mu.Lock(); len(s.own) != 0 {
			t.Errorf("own writes are kept after their echo: %v", s.own)
		}
		s.mu.Unlock()

		// Another writer writes after this process: the other write shows after the watch has passed the own write.
		api.hold("services")
		if err := s.Write(t.Context(), assign(seen(0), "192.168.56.13")); err != nil {
			t.Fatal(err)
		}
		theirs := api.stored("s")
		theirs.Status.LoadBalancer.Ingress = nil
		api.put(theirs)
		if got := seen(0).Ingress; len(got) != 1 {
			t.Errorf("ingress %v, want ours as long as nothing newer is known", got)
		}
		api.release("services")
		wakes.take()
		if got := seen(0).Ingress; len(got) != 0 {
			t.Errorf("ingress %v, want what they wrote", got)
		}

		// The Service is deleted before the watch shows the last write.
		api.hold("services")
		if err := s.Write(t.Context(), assign(seen(1), "192.168.56.12")); err != nil {
			t.Fatal(err)
		}
		api.remove(service("t"))
		if got := names(s.Snapshot().Services); got != "a/s a/t" {
			t.Errorf("Services %s", got)
		}
		api.release("services")
		wakes.take()
		if got := names(s.Snapshot().Services); got != "a/s" {
			t.Errorf("Services %s, want a/t gone", got)
		}
	})
}

// TestOwnWriteLate covers a watch that is faster than the answer to the write.
func TestOwnWriteLate(t *testing.T) {
	api := newFakeAPI(service("s"))
	api.PrependReactor("patch", "services", func(action clienttesting.Action) (bool, runtime.Object, error) {
		o, err := api.patch(action.(clienttesting.PatchActionImpl))
		theirs := api.stored("s")
		theirs.Status.LoadBalancer.Ingress = nil
		api.put(theirs)
		time.Sleep(time.Second)
		return true, o, err
	})
	inBubble(t, api, func(t *testing.T, s *Store, _ *counter, _ *lines) {
		if err := s.Write(t.Context(), assign(s.Snapshot().Services[0], "192.168.56.11")); err != nil {
			t.Fatal(err)
		}
		if got := s.Snapshot().Services[0]; len(got.Ingress) != 0 || got.Version != api.stored("s").ResourceVersion {
			t.Errorf("%v in version %s, want the newer state that the watch has shown", got.Ingress, got.Version)
		}
	})
}

// TestOwnWriteHides checks that a Service outside of Lanlord vanishes with the write that removes the last mark of
// Lanlord.
func TestOwnWriteHides(t *testing.T) {
	o := service("s")
	o.Spec.Type = corev1.ServiceTypeClusterIP
	o.Annotations = map[string]string{AllocatedFromAnnotation: "lan"}
	api := newFakeAPI(o)
	inBubble(t, api, func(t *testing.T, s *Store, wakes *counter, _ *lines) {
		left := s.Snapshot().Services
		if len(left) != 1 || left[0].Managed {
			t.Fatalf("%+v, want it shown as not managed", left)
		}
		api.hold("services")
		if err := s.Write(t.Context(), cluster.Update{Key: left[0].Key, UID: left[0].UID, Version: left[0].Version}); err != nil {
			t.Fatal(err)
		}
		if got := names(s.Snapshot().Services); got != "" {
			t.Errorf("Services %s, want none", got)
		}
		api.release("services")
		wakes.take()
		if got := names(s.Snapshot().Services); got != "" {
			t.Errorf("Services %s, want none", got)
		}
	})
}

// TestRestoredBackup restores the API server's data from a backup: resourceVersions start from an older version again,
// and own writes are lost.
func TestRestoredBackup(t *testing.T) {
	api := newFakeAPI(service("s"))
	inBubble(t, api, func(t *testing.T, s *Store, wakes *counter, _ *lines) {
		api.hold("services")
		if err := s.Write(t.Context(), assign(s.Snapshot().Services[0], "192.168.56.11")); err != nil {
			t.Fatal(err)
		}
		if err := s.services.Replace([]any{service("s")}, "50"); err != nil {
			t.Fatal(err)
		}
		if got := s.Snapshot().Services[0].Ingress; len(got) != 0 {
			t.Errorf("ingress %v, want what the API server now has", got)
		}
	})
}

func TestWriteChanged(t *testing.T) {
	api := newFakeAPI(service("s"), service("gone"))
	inBubble(t, api, func(t *testing.T, s *Store, _ *counter, _ *lines) {
		services := s.Snapshot().Services
		gone, seen := services[0], services[1]
		api.hold("services")
		api.put(service("s"))
		api.remove(service("gone"))
		other := assign(seen, "10.0.0.1")
		other.UID = "another"
		old := assign(seen, "10.0.0.1")
		old.Version = "1"
		sent := len(api.patches)
		for what, u := range map[string]cluster.Update{
			"another Service of that name":       other,
			"a version that is known to be past": old,
		} {
			if err := s.Write(t.Context(), u); !errors.Is(err, cluster.ErrChanged) {
				t.Errorf("%s: %v, want ErrChanged", what, err)
			}
		}
		if len(api.patches) != sent {
			t.Error("requests were sent for what was known to be in vain")
		}
		for what, u := range map[string]cluster.Update{
			"a change that is not seen yet": assign(seen, "10.0.0.1"),
			"a deletion that is not seen":   assign(gone, "10.0.0.1"),
		} {
			if err := s.Write(t.Context(), u); !errors.Is(err, cluster.ErrChanged) {
				t.Errorf("%s: %v, want ErrChanged", what, err)
			}
		}
		if n := len(api.stored("s").Status.LoadBalancer.Ingress); n != 0 {
			t.Error("a write came through")
		}
	})
}

func TestWriteFails(t *testing.T) {
	api := newFakeAPI(service("s"))
	api.PrependReactor("patch", "services", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("connection reset")
	})
	inBubble(t, api, func(t *testing.T, s *Store, _ *counter, _ *lines) {
		err := s.Write(t.Context(), assign(s.Snapshot().Services[0], "10.0.0.1"))
		if err == nil || errors.Is(err, cluster.ErrChanged) || !strings.Contains(err.Error(), "write Service a/s: connection reset") {
			t.Errorf("%v, want the error as it is, since the outcome is not known", err)
		}
	})
}
