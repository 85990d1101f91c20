package scale

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanlord/lanlord/e2e/controlplane"
	"github.com/lanlord/lanlord/e2e/wire"
)

// TestSafeChange changes the configuration of a running cluster, as a user does, with a real API server and speakers on a
// wire: what is refused takes nothing away; what a smaller configuration takes away stays, announced, for the delay, also
// when the controller is killed; and --check-config --against-cluster says before what would happen.
func TestSafeChange(t *testing.T) {
	const services, leaving, delay = 4, 2, 90 * time.Second
	r, ctx := newRig(t), t.Context()
	ok := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	t.Setenv("POD_UID", "uid-1") // the controllers are containers of one Pod, one after the other
	ok("start the controller", r.StartController())
	for i := range services {
		ok("create a Service", r.createService(ctx, ours(i), nil))
	}
	r.services = services
	var addrs []netip.Addr
	ok("assign", until(ctx, "addresses", time.Second/10, func() (done bool, err error) {
		addrs, err = r.addresses(ctx)
		return err == nil, err
	}))
	ok("announce", r.Announce(ctx, 0))
	slices.SortFunc(addrs, netip.Addr.Compare)
	wide := configText(t, r)
	r.awaitEvent(t, "ConfigAccepted", "in use, with 1 pool of 32768 IPv4")

	// A template has rendered to nothing.
	configure(t, r, "")
	r.awaitEvent(t, "ConfigRejected", "withdraw the address of every Service")
	if out, status := r.check(t, "", false); status != 1 || !strings.Contains(out, "withdraw the address of every Service") {
		t.Errorf("--check-config of nothing: exit status %d\n%s", status, out)
	}
	if now, err := r.addresses(ctx); err != nil || !sameAddrs(now, addrs) {
		t.Errorf("a refused configuration leaves %v, %v; want %v", now, err, addrs)
	}

	// A smaller configuration.
	narrow := fmt.Sprintf("allocation: {withdraw-delay: %s}\n", delay) + strings.Replace(wide, "10.99.128.0/17", addrs[leaving].String()+"-10.99.255.250", 1)
	if narrow == wide {
		t.Fatalf("the configuration is not as this test expects it: %s", wide)
	}
	r.pretendPod(t, systemNamespace, "controller", "controller", "--namespace="+systemNamespace)
	out, status := r.check(t, narrow, true)
	if status != 1 || !strings.Contains(out, "as ConfigMap lanlord-system/config\n") || !strings.Contains(out, "2 Services of the cluster") ||
		!strings.Contains(out, "2 of these would keep the old addresses for 1m30s first") || strings.Contains(out, "note:") {
		t.Errorf("--against-cluster with a smaller configuration: exit status %d\n%s", status, out)
	}
	if out, status := r.check(t, wide, true); status != 0 {
		t.Errorf("--against-cluster with the configuration in use: exit status %d\n%s", status, out)
	}
	begin := time.Now()
	configure(t, r, narrow)
	r.awaitEvent(t, "WithdrawalDelayed", "2 Services have an address that the configuration no longer gives")
	ok("say until when", until(ctx, "the conditions to tell", time.Second/10, func() (bool, error) {
		text := r.messages(t)
		if strings.Count(text, "(withdraw-delay)") != leaving {
			return false, fmt.Errorf("the conditions say %s", text)
		}
		return true, nil
	}))
	since := kept(t, r)
	r.answered(t, addrs, begin.Add(delay))

	// A crash of the controller. The next container of the Pod continues the Lease.
	ok("kill the controller", r.controller.Process.Signal(syscall.SIGKILL))
	<-r.ended
	killed := time.Now()
	ok("start the controller", r.StartController())
	ok("create a Service", r.createService(ctx, "late", nil))
	ok("assign", until(ctx, "the new Service to have an address", 5*time.Millisecond, func() (bool, error) {
		s, err := r.server.Admin.CoreV1().Services(appNamespace).Get(ctx, "late", metav1.GetOptions{})
		return err == nil && len(s.Status.LoadBalancer.Ingress) == 1, err
	}))
	t.Logf("a Service had an address %v after the controller was killed", time.Since(killed))
	log, err := os.ReadFile(filepath.Join(r.options.Dir, "controller.2.log"))
	if err != nil || !strings.Contains(string(log), "continued=true") {
		t.Errorf("the next container of the Pod has not continued the Lease, %v:\n%s", err, log)
	}
	if now := kept(t, r); now != since {
		t.Errorf("after a restart the delay is %s, and was %s", now, since)
	}
	r.answered(t, addrs, begin.Add(delay))

	ok("withdraw", until(ctx, "the end of the delay", time.Second, func() (bool, error) {
		now, err := r.addresses(ctx)
		return err == nil && !slices.Contains(now, addrs[0]) && !slices.Contains(now, addrs[1]), err
	}))
	if took := time.Since(begin); took < delay-time.Second {
		t.Errorf("withdrawn after %v, and the delay is %v", took, delay)
	}
	r.awaitEvent(t, "AddressesWithdrawn", "2 Services have lost an address")
	ok("be silent", until(ctx, "nobody to answer", time.Second, func() (bool, error) {
		h, err := r.lab.HearFor(ctx, time.Second, addrs[:leaving])
		return err == nil && !slices.ContainsFunc(h.Claims, func(c wire.Claim) bool { return slices.Contains(addrs[:leaving], c.Addr) }), err
	}))
	accepted := 0
	for _, e := range r.events(t, "ConfigAccepted") {
		if strings.Contains(e.Message, addrs[leaving].String()) {
			accepted += int(e.Count)
		}
	}
	if accepted != 1 {
		t.Errorf("%d Events tell that the smaller configuration is accepted", accepted)
	}
	checkNamespaces(t, r, narrow)
}

// checkNamespaces has another Lanlord, whose speaker reports an address of a Service as its gateway, and asks
// --against-cluster, which must find that Lanlord, and use what is in its namespace.
func checkNamespaces(t *testing.T, r *Rig, text string) {
	t.Helper()
	ctx := t.Context()
	addrs, err := r.addresses(ctx)
	if err != nil {
		t.Fatal(err)
	}
	gateway := addrs[len(addrs)-1]
	two, status := r.check(t, text, true)
	if status != 0 || strings.Contains(two, "  "+gateway.String()+"  ") {
		t.Errorf("with one Lanlord: exit status %d\n%s", status, two)
	}
	for _, o := range []string{"moved", "empty"} {
		if _, err := r.server.Admin.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: o}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.server.Admin.CoreV1().ServiceAccounts("moved").Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "speaker"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	r.pretendPod(t, "moved", "controller", "controller", "--config-map=pools")
	if out, status := r.check(t, text, true); status != 1 || !strings.Contains(out, "several namespaces have a Lanlord: lanlord-system, moved; choose one with --namespace") {
		t.Errorf("with two Lanlords: exit status %d\n%s", status, out)
	}
	says := fmt.Sprintf(`{"gateways":[%q]}`, gateway)
	pod := r.pretendPod(t, "moved", "speaker-elsewhere", "speaker")
	pod.Annotations = map[string]string{networksAnnotation: says}
	if _, err := r.server.Admin.CoreV1().Pods("moved").Update(ctx, pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	secret := "peers:\n- {my-asn: 64500, peer-asn: 64501, peer-address: 10.99.0.9, password-secret: lanlord-bgp/tor}\n"
	manifest := "apiVersion: v1\nkind: ConfigMap\nmetadata: {namespace: moved, name: pools}\ndata:\n  config: |\n    " +
		strings.ReplaceAll(strings.TrimSpace(secret+text), "\n", "\n    ") + "\n"
	for _, c := range []struct {
		name, text string
		args       []string
		wants      []string
	}{
		{"the namespace of the file", manifest, nil, []string{"as ConfigMap moved/pools\n", "there is no Secret moved/lanlord-bgp"}},
		{"the namespace of the flag", text, []string{"--namespace=moved"}, []string{"as ConfigMap moved/pools\n"}},
	} {
		out, status := r.check(t, c.text, true, c.args...)
		if status != 1 || !strings.Contains(out, "1 Service of the cluster") || !strings.Contains(out, "  "+gateway.String()+"  ") ||
			strings.Contains(out, "would keep") {
			t.Errorf("%s: exit status %d, and no word of the gateway\n%s", c.name, status, out)
		}
		for _, want := range c.wants {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in\n%s", c.name, want, out)
			}
		}
	}
	out, status := r.check(t, text, true, "--namespace=empty")
	if status != 0 || !strings.Contains(out, "note: no controller of Lanlord was found in the namespace empty") {
		t.Errorf("a namespace without Lanlord: exit status %d\n%s", status, out)
	}
	if err := r.server.Admin.CoreV1().Pods(systemNamespace).Delete(ctx, "controller", metav1.DeleteOptions{GracePeriodSeconds: new(int64)}); err != nil {
		t.Fatal(err)
	}
	other := strings.Replace(manifest, "namespace: moved", "namespace: empty", 1)
	out, status = r.check(t, other, true)
	if status != 1 || !strings.Contains(out, "as ConfigMap moved/pools\nnote: the file has a ConfigMap of the namespace empty, and Lanlord is in the namespace moved") {
		t.Errorf("a file for another namespace: exit status %d\n%s", status, out)
	}
}

// check runs the controller with --check-config as an administrator does, and returns what it prints and its exit status.
func (r *Rig) check(t *testing.T, text string, againstCluster bool, args ...string) (output string, status int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	args = append(args, "--check-config="+file, "--kubeconfig="+r.server.Kubeconfig("admin"))
	if againstCluster {
		args = append(args, "--against-cluster")
	}
	cmd := exec.Command(r.options.Controller, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := r.lab.Host().Start(cmd); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // the exit status is the caller's to judge
	return out.String(), cmd.ProcessState.ExitCode()
}

// pretendPod creates the Pod of a component, which nobody runs.
func (r *Rig) pretendPod(t *testing.T, namespace, name, component string, args ...string) *corev1.Pod {
	t.Helper()
	pod, err := r.server.Admin.CoreV1().Pods(namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": "lanlord", "app.kubernetes.io/name": "lanlord", "component": component}},
		Spec: corev1.PodSpec{
			NodeName: "node-0", ServiceAccountName: controlplane.Speaker,
			Containers: []corev1.Container{{Name: component, Image: "lanlord/lanlord", Args: args}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

func configText(t *testing.T, r *Rig) string {
	t.Helper()
	o, err := r.server.Admin.CoreV1().ConfigMaps(systemNamespace).Get(t.Context(), "config", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return o.Data["config"]
}

func configure(t *testing.T, r *Rig, text string) {
	t.Helper()
	o := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: "config"}, Data: map[string]string{"config": text}}
	if _, err := r.server.Admin.CoreV1().ConfigMaps(systemNamespace).Update(t.Context(), o, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// kept returns what lanlord-state says of past configurations, once it says something.
func kept(t *testing.T, r *Rig) (text string) {
	t.Helper()
	err := until(t.Context(), "the past configuration to be kept", time.Second/10, func() (bool, error) {
		o, err := r.server.Admin.CoreV1().ConfigMaps(systemNamespace).Get(t.Context(), "lanlord-state", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		text = o.Data["past-configs"]
		return text != "", nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// events returns the Events about the ConfigMap with this reason.
func (r *Rig) events(t *testing.T, reason string) (found []corev1.Event) {
	t.Helper()
	list, err := r.server.Admin.CoreV1().Events(systemNamespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list.Items {
		if e.InvolvedObject.Kind == "ConfigMap" && e.InvolvedObject.Name == "config" && e.Reason == reason {
			found = append(found, e)
		}
	}
	return found
}

func (r *Rig) awaitEvent(t *testing.T, reason, text string) {
	t.Helper()
	err := until(t.Context(), "an Event "+reason+" with "+text, time.Second/10, func() (bool, error) {
		events := r.events(t, reason)
		if !slices.ContainsFunc(events, func(e corev1.Event) bool { return strings.Contains(e.Message, text) }) {
			return false, fmt.Errorf("there are %v", events)
		}
		return true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// messages returns the messages of the conditions of all Services.
func (r *Rig) messages(t *testing.T) string {
	t.Helper()
	list, err := r.server.Admin.CoreV1().Services(appNamespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, s := range list.Items {
		for _, c := range s.Status.Conditions {
			fmt.Fprintf(&b, "%s: %s\n", s.Name, c.Message)
		}
	}
	return b.String()
}

// answered asks for each address, and fails the test if no node answers. The answer proves something only before the end
// of the delay, so a machine that is too slow skips the rest.
func (r *Rig) answered(t *testing.T, addrs []netip.Addr, end time.Time) {
	t.Helper()
	ctx, cancel := context.WithDeadline(t.Context(), end)
	defer cancel()
	h, err := r.lab.HearFor(ctx, 3*time.Second, addrs)
	if time.Now().After(end.Add(-time.Second)) {
		t.Skip("this machine is too slow to see anything within the delay")
	}
	if err != nil {
		t.Fatal(err)
	}
	heard := make(map[netip.Addr]bool)
	for _, c := range h.Claims {
		heard[c.Addr] = true
	}
	for _, a := range addrs {
		if !heard[a] {
			t.Errorf("nobody answers for %s within the delay", a)
		}
	}
}

func sameAddrs(a, b []netip.Addr) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.SortFunc(a, netip.Addr.Compare)
	slices.SortFunc(b, netip.Addr.Compare)
	return slices.Equal(a, b)
}
