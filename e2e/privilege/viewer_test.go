package privilege

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/lanlord/lanlord/e2e/controlplane"
	"github.com/lanlord/lanlord/e2e/inside"
)

const (
	system      = "lanlord-system"
	speakerPort = "7574"
	// controllerPage is the address of the controller's page.
	controllerPage = "127.0.0.1:7573"
)

// TestViewerNeedsNoExec has a user with the roles lanlord-viewer, and no other right, ask both daemons by way of the
// API server. The user must be able to do nothing in the Pods, and nobody who reaches the ports must learn the status.
func TestViewerNeedsNoExec(t *testing.T) {
	server := controlplane.StartLocal(t, self.Addr(), manifest)
	dir := server.Dir
	client := server.Admin
	prepareViewer(t, client)
	startDaemons(t, server.Kubeconfig)
	kubeconfig := viewer(t, client, dir, server.URL())
	vip := self.Addr().Next().String()
	var text, problem string
	if !await(t, func() bool {
		text, problem = lanlord(t, kubeconfig, "who", vip)
		return strings.Contains(text, "the node node answers")
	}) {
		t.Fatalf("who prints\n%s%s\nthe controller tells %.300s", text, problem,
			fetched(t, "http://"+self.Addr().String()+":7572/statuses.sealed"))
	}
	text, problem = lanlord(t, kubeconfig, "status")
	if !strings.Contains(text, "deciding for") || strings.Contains(text, "unasked") {
		t.Errorf("status prints\n%s%s", text, problem)
	}
	if text, problem = lanlord(t, kubeconfig, "doctor"); !strings.Contains(text, "all could be looked at") {
		t.Errorf("doctor misses a right:\n%s%s", text, problem)
	}
	checkViewer(t, client)
	checkPage(t, kubeconfig, vip)
	checkDump(t, kubeconfig, dir)
	for _, url := range []string{
		"http://" + self.Addr().String() + ":7572/statuses.sealed", "http://127.0.0.1:" + speakerPort + "/status.sealed",
	} {
		body := fetched(t, url)
		if !strings.Contains(body, `"pod":"speaker"`) || strings.Contains(body, vip) || strings.Contains(body, "default/web") {
			t.Errorf("%s tells everybody %s", url, body)
		}
	}
}

// startDaemons starts both daemons until the test ends. kubeconfig returns the kubeconfig of a ServiceAccount.
func startDaemons(t *testing.T, kubeconfig func(string) string) {
	t.Helper()
	for component, args := range map[string][]string{
		controller: {"--listen=" + self.Addr().String() + ":7572", "--status-listen=" + controllerPage},
		speaker:    {"--listen=:" + speakerPort, "--status-listen=", "--node-name=" + node, "--pod-name=" + speaker, "--kube-proxy-metrics="},
	} {
		daemon := exec.Command(inside.File(component),
			append(args, "--kubeconfig="+kubeconfig(component), "--namespace="+system)...)
		daemon.Env = append(os.Environ(), "POD_NAME="+component)
		daemon.Stdout, daemon.Stderr = t.Output(), t.Output()
		daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := daemon.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = daemon.Process.Kill() // it may have ended
			_ = daemon.Wait()
		})
	}
}

// mustOf returns a function that takes the results of a request, and ends the test after an error.
func mustOf(t *testing.T) func(any, error) {
	return func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
}

// prepareViewer makes what a kubelet, the controller of EndpointSlices and users make.
func prepareViewer(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	ctx, core := t.Context(), client.CoreV1()
	must := mustOf(t)
	made, err := core.Nodes().Create(ctx, &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: node, Labels: map[string]string{"kubernetes.io/os": "linux"}},
	}, metav1.CreateOptions{})
	must(made, err)
	made.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: self.Addr().String()}}
	made.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	must(core.Nodes().UpdateStatus(ctx, made, metav1.UpdateOptions{}))
	must(core.ConfigMaps(system).Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "config"},
		Data: map[string]string{
			"config": fmt.Sprintf("address-pools:\n- {name: a, protocol: layer2, addresses: [%s]}\n", self.Addr().Next()),
		},
	}, metav1.CreateOptions{}))
	must(core.Services("default").Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{}))
	must(client.DiscoveryV1().EndpointSlices("default").Create(ctx, &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: "web", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{{
			Addresses: []string{"10.97.0.1"}, NodeName: new(node), Conditions: discoveryv1.EndpointConditions{Ready: new(true)},
		}},
	}, metav1.CreateOptions{}))
	preparePods(t, client)
}

// preparePods makes the Pods of both daemons, as a kubelet shows them, and the endpoint of the Service lanlord-status.
func preparePods(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	ctx, core := t.Context(), client.CoreV1()
	must := mustOf(t)
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	for component, args := range map[string][]string{controller: nil, speaker: {"--listen=:" + speakerPort}} {
		pod, err := core.Pods(system).Create(ctx, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Name: component, Labels: map[string]string{"app.kubernetes.io/name": "lanlord", "component": component},
			},
			Spec: corev1.PodSpec{
				NodeName: node, ServiceAccountName: component, HostNetwork: true, Containers: []corev1.Container{{
					Name: component, Image: "lanlord/lanlord", Command: []string{"/" + component}, Args: args,
				}},
			},
		}, metav1.CreateOptions{})
		must(pod, err)
		pod.Status = corev1.PodStatus{
			Phase: corev1.PodRunning, PodIP: self.Addr().String(), PodIPs: []corev1.PodIP{{IP: self.Addr().String()}},
			Conditions:        []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
			ContainerStatuses: []corev1.ContainerStatus{{Name: component, State: running}},
		}
		must(core.Pods(system).UpdateStatus(ctx, pod, metav1.UpdateOptions{}))
	}
	must(client.DiscoveryV1().EndpointSlices(system).Create(ctx, &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name: "lanlord-status", Labels: map[string]string{discoveryv1.LabelServiceName: "lanlord-status"},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: new("status"), Port: new(int32(7572))}},
		Endpoints: []discoveryv1.Endpoint{{
			Addresses: []string{self.Addr().String()}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)},
			TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: system, Name: controller},
		}},
	}, metav1.CreateOptions{}))
	// The API server finds the Pod of a Service by this kind, and only if it names the Pod.
	//lint:ignore SA1019 the API server uses no other kind for services/proxy
	must(core.Endpoints(system).Create(ctx, &corev1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{Name: "lanlord-status"},
		//lint:ignore SA1019 the same
		Subsets: []corev1.EndpointSubset{{
			Addresses: []corev1.EndpointAddress{{
				IP: self.Addr().String(), TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: system, Name: controller},
			}},
			Ports: []corev1.EndpointPort{{Name: "status", Port: 7572}},
		}},
	}, metav1.CreateOptions{}))
}

const viewerName = "viewer"

// viewer makes a user with the roles lanlord-viewer, and returns the path of the user's kubeconfig.
func viewer(t *testing.T, client kubernetes.Interface, dir, server string) string {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: viewerName}}
	if _, err := client.CoreV1().ServiceAccounts("default").Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	bindViewer(t, client, viewerName)
	kubeconfig := filepath.Join(dir, "viewer.kubeconfig")
	writeKubeconfig(t, client, "default", viewerName, kubeconfig, server)
	return kubeconfig
}

// bindViewer gives a ServiceAccount the roles lanlord-viewer.
func bindViewer(t *testing.T, client kubernetes.Interface, account string) {
	t.Helper()
	subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "default", Name: account}}
	ref := func(kind string) rbacv1.RoleRef {
		return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: "lanlord-viewer"}
	}
	_, err := client.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: account}, RoleRef: ref("ClusterRole"), Subjects: subjects,
	}, metav1.CreateOptions{})
	if err == nil {
		_, err = client.RbacV1().RoleBindings(system).Create(t.Context(), &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: account}, RoleRef: ref("Role"), Subjects: subjects,
		}, metav1.CreateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// lanlord runs the plugin.
func lanlord(t *testing.T, kubeconfig string, args ...string) (stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out, told bytes.Buffer
	program := inside.File("kubectl-lanlord")
	command := exec.CommandContext(ctx, program, append(args, "--kubeconfig="+kubeconfig)...)
	command.Stdout, command.Stderr = &out, &told
	if err := command.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return out.String(), told.String()
}

// checkPage has the user open the page. The user may forward no port, so the plugin must say so and make the page. The
// controller's own page must show the same owner, because the controller opens the statuses of the speakers.
func checkPage(t *testing.T, kubeconfig, vip string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), inside.File("kubectl-lanlord"), "page", "--no-browser", "--kubeconfig="+kubeconfig)
	var said bytes.Buffer
	command.Stderr = &said
	out, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	_, rest, ok := strings.Cut(line, "http://localhost:")
	if err != nil || !ok {
		t.Fatalf("page prints %q: %v\n%s", line, err, said.String())
	}
	port, _, _ := strings.Cut(rest, "/")
	for _, page := range []string{"http://127.0.0.1:" + port + "/", "http://" + controllerPage + "/"} {
		var text string
		if !await(t, func() bool {
			text = fetched(t, page)
			return strings.Contains(text, `<a href="?node=`+node+`">`) && strings.Contains(text, vip)
		}) {
			t.Errorf("%s does not show that the node answers:\n%s", page, text)
		}
		if text := fetched(t, page+"service?name=default/web"); !strings.Contains(text, "Addresses of the Service") || !strings.Contains(text, node) {
			t.Errorf("%s shows of the Service\n%s", page, text)
		}
	}
	if err := command.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil || !strings.Contains(said.String(), "the right to create pods/portforward in "+system+" is missing") {
		t.Errorf("page ends with %v, and says\n%s", err, said.String())
	}
}

// checkDump has the user write a bundle, which must have what the user may read, and no key.
func checkDump(t *testing.T, kubeconfig, dir string) {
	t.Helper()
	file := filepath.Join(dir, "bundle.tar.gz")
	out, problem := lanlord(t, kubeconfig, "dump", "--file="+file)
	list, err := exec.CommandContext(t.Context(), "tar", "-xzOf", file).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s\n%s%s", err, list, out, problem)
	}
	for _, want := range []string{"default/web", "the right to get pods/log in " + system + " is missing", `"kind":"Diagnosis"`} {
		if !strings.Contains(string(list), want) {
			t.Errorf("the bundle has no %q:\n%s", want, list)
		}
	}
	if strings.Contains(string(list), "key-1") {
		t.Errorf("the bundle has a key:\n%s", list)
	}
}

// checkViewer fails the test if the viewer has a right that does more than look.
func checkViewer(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	for _, r := range []struct {
		verb, resource, subresource, name string
		allowed                           bool
	}{
		{"get", "services", "proxy", "lanlord-status:status", true},
		{"get", "secrets", "", "lanlord-viewer", true},
		{"create", "services", "proxy", "lanlord-status:status", false},
		{"get", "services", "proxy", "lanlord-status:other", false},
		{"get", "services", "proxy", "https:lanlord-status:status", false},
		{"get", "services", "proxy", "other", false},
		{"get", "secrets", "", "lanlord-gossip", false},
		{"list", "secrets", "", "", false},
		{"create", "pods", "exec", speaker, false},
		{"get", "pods", "exec", speaker, false},
		{"create", "pods", "portforward", speaker, false},
		{"get", "pods", "portforward", speaker, false},
		{"get", "pods", "proxy", speaker, false},
		{"create", "pods", "attach", speaker, false},
		{"create", "serviceaccounts", "token", speaker, false},
	} {
		reviews := client.AuthorizationV1().SubjectAccessReviews()
		review, err := reviews.Create(t.Context(), &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{
				User:   "system:serviceaccount:default:" + viewerName,
				Groups: []string{"system:serviceaccounts", "system:authenticated"},
				ResourceAttributes: &authorizationv1.ResourceAttributes{
					Namespace: system, Verb: r.verb, Resource: r.resource, Subresource: r.subresource, Name: r.name,
				},
			},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if review.Status.Allowed != r.allowed {
			t.Errorf("the viewer may %s %s/%s %s: %t, want %t", r.verb, r.resource, r.subresource, r.name,
				review.Status.Allowed, r.allowed)
		}
	}
	if _, err := client.CoreV1().Secrets(system).Get(t.Context(), "lanlord-viewer", metav1.GetOptions{}); err != nil {
		t.Errorf("the controller has not made the key: %v", err)
	}
}

// fetched returns what a URL has for everybody.
func fetched(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(response.Body); err != nil {
		t.Fatal(err)
	}
	return body.String()
}
