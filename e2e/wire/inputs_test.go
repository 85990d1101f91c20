package wire_test

import (
	"context"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lanlord/lanlord/e2e/scrape"
	"github.com/lanlord/lanlord/e2e/wire"
)

const (
	// startBound is the time after the start of the speakers within which one node must answer for each address.
	startBound = 20 * time.Second
	// watched is the time for which each address is heard then. Two nodes that dispute an address take it every 3 s.
	watched = 8 * time.Second
	// unnoticed is the longest time without an answer while nothing happens to the owner. A speaker's wait for a CPU is added.
	unnoticed = 500 * time.Millisecond
	// inputsAtOnce limits the environments at the same time. Their processes wait most of the time.
	inputsAtOnce = 6
)

const systemNamespace = "lanlord-system"

// inputCase is an environment in which nodes decide from different inputs. The name says what must hold.
type inputCase struct {
	name    string
	options wire.Options
	check   func(*testing.T, environment)
}

// TestDifferingInputs checks that each address has one owner and keeps it although the inputs of the nodes differ. All speakers are
// real processes, and the test hears on the wire which node answers.
func TestDifferingInputs(t *testing.T) {
	speaker := buildSpeaker(t)
	places := make(chan struct{}, inputsAtOnce)
	var running sync.WaitGroup
	for _, c := range slices.Concat(configurationCases(), deletionCases(), gossipCases(), linkCases(), machineCases()) {
		places <- struct{}{} // in the order of the table, which begins with the longest
		running.Go(func() {
			defer func() { <-places }()
			t.Run(c.name, func(t *testing.T) {
				c.options.Speaker, c.options.Unstarted = speaker, true
				lab := newLabWith(t, c.options)
				c.check(t, environment{Lab: lab, t: t, addrs: lab.Addresses()})
			})
		})
	}
	running.Wait()
}

// environment is a laboratory of one case. Its speakers are not started yet.
type environment struct {
	*wire.Lab
	t     *testing.T
	addrs []netip.Addr
}

// must ends the test on an error.
func (e environment) must(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatal(err)
	}
}

// startAll starts all speakers, and returns who owns the addresses when one node answers for each of them.
func (e environment) startAll() map[netip.Addr]wire.MAC {
	e.t.Helper()
	for i := range e.Nodes() {
		e.must(e.Start(i, nil))
	}
	owners, err := e.Rest(e.t.Context(), startBound, e.addrs)
	if err != nil {
		e.t.Fatalf("after the start: %v", err)
	}
	return owners
}

// hear hears the addresses while do happens, and for a time after.
func (e environment) hear(after time.Duration, do func() error) wire.Hearing {
	e.t.Helper()
	ctx, cancel := context.WithCancel(e.t.Context())
	defer cancel()
	type result struct {
		hearing wire.Hearing
		err     error
	}
	heard := make(chan result, 1)
	go func() {
		h, err := e.Hear(ctx, e.addrs)
		heard <- result{h, err}
	}()
	before := e.waited()
	err := do()
	if err == nil {
		err = wire.Pause(e.t.Context(), after)
	}
	cancel()
	r := <-heard
	e.must(err)
	e.must(r.err)
	for pid, total := range e.waited() {
		r.hearing.Starved = max(r.hearing.Starved, total-before[pid])
	}
	return r.hearing
}

// waited returns the time for which each speaker has waited for a CPU.
func (e environment) waited() map[int]time.Duration {
	all := make(map[int]time.Duration)
	for _, pid := range e.Processes() {
		all[pid] = wire.Starved(pid)
	}
	return all
}

// nothing happens in a while in which addresses are heard.
func nothing() error { return nil }

// unmoved fails the test unless each address was answered for by its owner, by no other node, and all the time.
func (e environment) unmoved(when string, h wire.Hearing, owners map[netip.Addr]wire.MAC) {
	e.t.Helper()
	for _, a := range e.addrs {
		if stations := h.Stations(a); !slices.Equal(stations, []wire.MAC{owners[a]}) {
			e.t.Errorf("%s: %s was claimed by %v, with %d moves in %v; its owner is %s", when, a, stations, h.Moves(a),
				h.To.Sub(h.From).Round(time.Second), owners[a])
		}
		if dark := h.Dark(a); dark > unnoticed+h.Starved {
			e.t.Errorf("%s: nobody answered for %s for %v; a speaker waited for a CPU for %v", when, a, dark.Round(time.Millisecond), h.Starved)
		}
	}
	if e.t.Failed() {
		e.t.FailNow() // later steps would only repeat this
	}
}

// ready fails the test unless every speaker knows so many members to be ready within the bound.
func (e environment) ready(want int) {
	e.t.Helper()
	for end := time.Now().Add(startBound); ; {
		problem := e.unready(want)
		if problem == "" {
			return
		}
		if time.Now().After(end) {
			e.t.Fatalf("gossip does not work within %v: %s", startBound, problem)
		}
		e.must(wire.Pause(e.t.Context(), 100*time.Millisecond))
	}
}

// unready tells which speaker does not know so many members to be ready, empty for none.
func (e environment) unready(want int) string {
	for i, name := range e.Nodes() {
		if !e.Running(i) {
			continue
		}
		text, err := e.Get(e.t.Context(), i, "/metrics")
		if err != nil {
			return err.Error()
		}
		if n, err := scrape.Value(text, `lanlord_membership_members{state="ready"}`); err != nil || int(n) != want {
			return name + " does not know all members to be ready"
		}
	}
	return ""
}

// edit changes an object, which must exist.
func (e environment) edit(resource string, key types.NamespacedName, change func(runtime.Object)) {
	e.t.Helper()
	found, err := e.API().Edit(resource, key, change)
	e.must(err)
	if !found {
		e.t.Fatalf("there is no %s in %s", key, resource)
	}
}

// editNode changes a Node.
func (e environment) editNode(number int, change func(*corev1.Node)) {
	e.t.Helper()
	e.edit("nodes", types.NamespacedName{Name: e.Nodes()[number]}, func(o runtime.Object) { change(o.(*corev1.Node)) })
}

// label gives a Node a label.
func (e environment) label(number int, key, value string) {
	e.t.Helper()
	e.editNode(number, func(n *corev1.Node) { metav1.SetMetaDataLabel(&n.ObjectMeta, key, value) })
}

// listAddresses makes these the InternalIPs of a Node, in this order.
func (e environment) listAddresses(number int, addrs ...netip.Addr) {
	e.t.Helper()
	e.editNode(number, func(n *corev1.Node) {
		n.Status.Addresses = nil
		for _, a := range addrs {
			n.Status.Addresses = append(n.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: a.String()})
		}
	})
}

// putState writes the ConfigMap of the leading controller with the last accepted configuration and the MAC addresses of the nodes.
func (e environment) putState() {
	e.t.Helper()
	o, err := e.API().Get("configmaps", types.NamespacedName{Namespace: systemNamespace, Name: "config"})
	e.must(err)
	config := o.(*corev1.ConfigMap)
	type node struct {
		MACs []string `json:"macs"`
	}
	nodes := make(map[string]node)
	for i, mac := range e.MACs() {
		nodes[e.Nodes()[i]] = node{[]string{mac.String()}}
	}
	text, err := json.Marshal(nodes)
	e.must(err)
	e.must(e.API().Put(&corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: "lanlord-state"},
		Data:       map[string]string{"config": config.Data["config"], "config-version": config.ResourceVersion, "nodes": string(text)},
	}))
}

// events returns the Events for which which is true.
func (e environment) events(which func(corev1.Event) bool) []corev1.Event {
	e.t.Helper()
	all, err := e.API().Events()
	e.must(err)
	return slices.DeleteFunc(all, func(v corev1.Event) bool { return !which(v) })
}

// noConflict fails the test if an Event says that a host which is no node has an address.
func (e environment) noConflict() {
	e.t.Helper()
	for _, v := range e.events(func(v corev1.Event) bool { return v.Reason == "AddressConflict" }) {
		e.t.Errorf("an Event reports a node as another host: %s", v.Message)
	}
}

// says fails the test unless an Event that is no success contains all of the words soon.
func (e environment) says(within time.Duration, words ...string) {
	e.t.Helper()
	for end := time.Now().Add(within); ; {
		found := e.events(func(v corev1.Event) bool { return v.Reason != "Announced" && containsAll(v.Message, words) })
		if len(found) > 0 {
			return
		}
		if time.Now().After(end) {
			e.t.Errorf("no Event says %q", words)
			return
		}
		e.must(wire.Pause(e.t.Context(), 200*time.Millisecond))
	}
}

func containsAll(text string, words []string) bool {
	return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) })
}
