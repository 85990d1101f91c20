package privilege

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/lanlord/lanlord/e2e/controlplane"
	"github.com/lanlord/lanlord/e2e/inside"
)

// patience is for what takes a second on an idle machine.
const patience = 2 * time.Minute

// TestNoRightIsSuperfluous starts both daemons with all their rights, which must do for all that they do, and once for each
// right without it: then something must be lost, or the log must tell that the API server refuses it.
func TestNoRightIsSuperfluous(t *testing.T) {
	server := controlplane.StartLocal(t, self.Addr(), manifest)
	addNode(t, server.Admin, nil)
	installGateways(t, server.Admin)
	define(t, server.Admin, "v0.13")
	var all []*suspect
	add := func(component, name string, metallb bool, missing *right, granted []right) {
		s := &suspect{client: server.Admin, component: component, metallb: metallb, number: len(all), namespace: name, missing: missing}
		grant(t, server.Admin, s.namespace, granted)
		s.prepare(t)
		all = append(all, s)
	}
	for _, component := range []string{controller, speaker} {
		have := rights(t, component)
		add(component, component+"-0", false, nil, have)
		for i := range have {
			add(component, fmt.Sprintf("%s-%d", component, i+1), false, &have[i], without(have, i))
		}
		// With MetalLB's resources only what is different.
		have, more := metallbRights(t, component)
		add(component, component+"-metallb-0", true, nil, have)
		for i := range more {
			add(component, fmt.Sprintf("%s-metallb-%d", component, i+1), true, &more[i], without(have, slices.Index(have, more[i])))
		}
	}
	for _, s := range all {
		s.start(t, inside.File(s.component), server.Dir, server.URL())
	}
	baseline := slices.DeleteFunc(slices.Clone(all), func(s *suspect) bool { return s.missing != nil })
	work(t, all, baseline)
	each(all, func(s *suspect) {
		s.lost = s.lacks(t)
		if s.missing != nil && len(s.lost) == 0 {
			await(t, func() bool { return s.denied() != "" })
		}
	})
	each(all, func(s *suspect) { s.stop() })
	for _, s := range all {
		s.judge(t)
	}
}

// work makes both that have all rights do all that they can, and the others what they can of the same.
func work(t *testing.T, all, baseline []*suspect) {
	t.Helper()
	must := func(name string) {
		t.Helper()
		for _, s := range baseline {
			if can := s.able()[name]; can != nil && !await(t, func() bool { return can(t) }) {
				t.Errorf("%s is not able: %s\n%s", s, name, s.logged())
			}
		}
	}
	for _, name := range []string{
		"gives an address", "gives what the Gateway asks for", "announces the address", "makes the gossip key", "notes its networks", "tells of it",
		"encrypts its status",
	} {
		must(name)
	}
	// The same happens twice, so that the same is told twice.
	write := func(bad bool, times int) {
		t.Helper()
		each(all, func(s *suspect) {
			if err := s.configure(t.Context(), bad); err != nil {
				t.Error(err)
			}
		})
		for _, s := range baseline {
			good, mark := s.marks()
			if !bad {
				mark = good
			}
			if !await(t, func() bool { return strings.Count(s.logged(), mark) >= times }) {
				t.Errorf("%s has not logged %q %d times\n%s", s, mark, times, s.logged())
			}
		}
	}
	write(true, 1)
	write(false, 2)
	write(true, 2)
	write(false, 3)
	must("tells it anew")
}

// await waits for a condition, and reports whether it came true.
func await(t *testing.T, condition func() bool) bool {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end) && t.Context().Err() == nil; time.Sleep(200 * time.Millisecond) {
		if condition() {
			return true
		}
	}
	return false
}

// lacks returns the functions that s has not.
func (s *suspect) lacks(t *testing.T) (lost []string) {
	t.Helper()
	for name, can := range s.able() {
		if !can(t) {
			lost = append(lost, name)
		}
	}
	slices.Sort(lost)
	return lost
}

// judge fails the test when a right was not missed, or one was missed that nobody took away.
func (s *suspect) judge(t *testing.T) {
	t.Helper()
	if s.missing == nil {
		if text := s.logged(); len(s.lost) > 0 || strings.Contains(text, "is forbidden") {
			t.Errorf("%s lacks one; lost: %v\n%s", s, s.lost, text)
		}
		return
	}
	line := s.denied()
	if line == "" && len(s.lost) == 0 {
		t.Errorf("%s: the right is superfluous: nothing is lost, and the API server has refused nothing\n%s", s, s.logged())
		return
	}
	t.Logf("%s: lost: %s; told: %.200s", s, cmp.Or(strings.Join(s.lost, ", "), "nothing at once"), cmp.Or(line, "nothing"))
}

// addNode makes the Node with its address.
func addNode(t *testing.T, client kubernetes.Interface, labels map[string]string) {
	t.Helper()
	nodes := client.CoreV1().Nodes()
	if _, err := nodes.Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node, Labels: labels}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	status := fmt.Sprintf(`{"status":{"addresses":[{"type":"InternalIP","address":%q}]}}`, self.Addr())
	if _, err := nodes.Patch(t.Context(), node, "application/merge-patch+json", []byte(status), metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
}
