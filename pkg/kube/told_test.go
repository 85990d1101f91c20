package kube

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"github.com/lanlord/lanlord/pkg/cluster"
)

func assigned(name, message string) cluster.Event {
	return cluster.Event{Object: cluster.ObjectRef{Kind: "Service", Namespace: "a", Name: name, UID: name}, Reason: "Assigned", Message: message}
}

func eventsIn(t *testing.T, api *fakeAPI, namespace string) []corev1.Event {
	t.Helper()
	list, err := api.CoreV1().Events(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// TestRepeatedEventsAreCounted sends one Event three times and another Event once, and sends the first Event again
// after the API server has deleted it.
func TestRepeatedEventsAreCounted(t *testing.T) {
	api := newFakeAPI()
	inBubble(t, api, func(t *testing.T, s *Store, _ *counter, _ *lines) {
		for range 3 {
			s.Event(assigned("s", "one"))
			time.Sleep(time.Minute)
		}
		s.Event(assigned("s", "two"))
		s.Event(assigned("t", "one"))
		node := cluster.Event{Object: cluster.ObjectRef{Kind: "Node", Name: "n", UID: "n"}, Reason: "Announced", Message: "many"}
		s.Event(node)
		s.Event(node)
		synctest.Wait()
		counts := map[string]int32{}
		for _, e := range eventsIn(t, api, "a") {
			counts[e.InvolvedObject.Name+" "+e.Message] = e.Count
			if took := e.LastTimestamp.Sub(e.FirstTimestamp.Time); e.Count == 3 && took != 2*time.Minute {
				t.Errorf("what happened within two minutes is told as within %s", took)
			}
		}
		if got := fmt.Sprint(counts); got != "map[s one:3 s two:1 t one:1]" {
			t.Errorf("counts %s", got)
		}
		if of := eventsIn(t, api, "default"); len(of) != 1 || of[0].Count != 2 || of[0].InvolvedObject.Namespace != "" {
			t.Errorf("Events of the Node: %+v", of)
		}

		for _, e := range eventsIn(t, api, "a") {
			if err := api.CoreV1().Events("a").Delete(t.Context(), e.Name, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		s.Event(assigned("s", "one"))
		s.Event(assigned("s", "one"))
		synctest.Wait()
		if left := eventsIn(t, api, "a"); len(left) != 1 || left[0].Count != 2 {
			t.Errorf("after an hour: %+v", left)
		}
	})
}

// TestOneObjectDoesNotFlood sends many different Events about one Service, and one Event about another Service.
func TestOneObjectDoesNotFlood(t *testing.T) {
	api := newFakeAPI()
	inBubble(t, api, func(t *testing.T, s *Store, _ *counter, _ *lines) {
		for i := range objectBurst + 10 {
			s.Event(assigned("restless", fmt.Sprint(i)))
		}
		s.Event(assigned("calm", "here"))
		time.Sleep(time.Second)
		if n := len(eventsIn(t, api, "a")); n != objectBurst+1 {
			t.Errorf("%d Events, want %d and the other's", n, objectBurst)
		}
		time.Sleep(objectPause)
		for i := range 3 {
			s.Event(assigned("restless", fmt.Sprint("later ", i)))
		}
		synctest.Wait()
		if n := len(eventsIn(t, api, "a")); n != objectBurst+2 {
			t.Errorf("%d Events after a pause, want one more", n)
		}
	})
}

// TestEventsWaitForTheServer makes the API server unreachable for a minute. The Events wait in their order, and an
// Event whose answer was lost is not duplicated. An Event that the API server refuses delays no other Event.
func TestEventsWaitForTheServer(t *testing.T) {
	api := newFakeAPI()
	inBubble(t, api, func(t *testing.T, s *Store, _ *counter, log *lines) {
		away := time.Now().Add(time.Minute)
		var mu sync.Mutex // guards tried
		var tried []string
		api.PrependReactor("create", "events", func(action clienttesting.Action) (bool, runtime.Object, error) {
			e := action.(clienttesting.CreateAction).GetObject().(*corev1.Event)
			switch {
			case time.Now().Before(away):
				return true, nil, errors.New("connection refused")
			case e.Message == "forbidden":
				return true, nil, apierrors.NewForbidden(corev1.Resource("events"), e.Name, errors.New("not here"))
			}
			mu.Lock()
			defer mu.Unlock()
			if tried = append(tried, e.Message); len(tried) > 1 {
				return false, nil, nil
			}
			if err := api.Tracker().Create(corev1.SchemeGroupVersion.WithResource("events"), e, e.Namespace); err != nil {
				t.Error(err)
			}
			return true, nil, errors.New("connection reset by peer")
		})
		for _, message := range []string{"1", "forbidden", "2", "3"} {
			s.Event(assigned("s", message))
		}
		time.Sleep(50 * time.Second)
		if n := len(eventsIn(t, api, "a")); n > 0 {
			t.Fatalf("%d were sent to an API server that is not there", n)
		}
		time.Sleep(40 * time.Second)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if n := len(eventsIn(t, api, "a")); fmt.Sprint(tried) != "[1 1 2 3]" || n != 3 {
			t.Errorf("%d Events, tried %s", n, tried)
		}
		if n := log.count("Event not sent"); n != 1 {
			t.Errorf("%d lines of what was refused, want 1:\n%s", n, log.text.String())
		}
	})
}

// TestEventsAreGivenUp has an API server that never answers: the goroutine ends with its context, even while the first
// Event waits.
func TestEventsAreGivenUp(t *testing.T) {
	api := newFakeAPI()
	inBubble(t, api, func(t *testing.T, s *Store, _ *counter, log *lines) {
		api.PrependReactor("create", "events", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, errors.New("connection refused")
		})
		s.Event(assigned("s", "1"))
		s.Event(assigned("s", "2"))
		time.Sleep(eventTries * eventRetry)
		synctest.Wait()
		if n := log.count("Event not sent"); n != 1 {
			t.Errorf("%d Events were given up, want the first:\n%s", n, log.text.String())
		}
	})
}
