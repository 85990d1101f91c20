package privilege

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/lanlord/lanlord/e2e/controlplane"
	"github.com/lanlord/lanlord/e2e/inside"
)

const (
	tenantName = "tenant"
	// otherNode is a node whose speaker seems to be ready, and answers nothing.
	otherNode  = "other"
	preferNode = "lanlord.io/prefer-node"
)

// TestPluginForNamespaceAdmin runs the plugin as the administrator of a namespace, who may see nothing else, and then
// also with the roles lanlord-viewer. The plugin must show what may be seen, name the missing rights, and take a move
// back that fails.
func TestPluginForNamespaceAdmin(t *testing.T) {
	server := controlplane.StartLocal(t, self.Addr(), manifest)
	dir := server.Dir
	client := server.Admin
	prepareViewer(t, client)
	startDaemons(t, server.Kubeconfig)
	url := server.URL()
	vip := self.Addr().Next().String()
	tenant := namespaceAdmin(t, client, dir, url)

	var text string
	var status int
	if !await(t, func() bool {
		text, status = plugin(t, tenant, "services")
		return strings.Contains(text, vip)
	}) {
		t.Fatalf("services prints\n%s", text)
	}
	for _, c := range []struct {
		line   string
		status int
		texts  []string
	}{
		{"services", 0, []string{"web", "Unknown", "the right to list pods and create pods/exec in lanlord-system is missing"}},
		{"why web", 2, []string{vip, "no speaker could be asked", "the right to list pods and create pods/exec in lanlord-system is missing"}},
		{"status", 0, []string{"1 assigned and perhaps not announced", "the right to list nodes is missing"}},
		{"who " + vip, 2, []string{vip, "no speaker could be asked"}},
		{"doctor", 2, []string{"nothing is known to be wrong, but not all could be looked at"}},
		{"doctor --pre", 1, []string{"you may not create namespaces", "the right to list pods is missing"}},
		{"dump --file=" + filepath.Join(dir, "tenant.tar.gz"), 0, []string{"the right to list nodes is missing", "Look into it"}},
		{"move web " + node, 2, []string{"whether the addresses move is not known"}},
	} {
		text, status = plugin(t, tenant, strings.Fields(c.line)...)
		for _, want := range c.texts {
			if status != c.status || !strings.Contains(strings.ToLower(text), strings.ToLower(want)) {
				t.Errorf("%s: exit status %d, want %d with %q:\n%s", c.line, status, c.status, want, text)
			}
		}
	}
	checkWish(t, client, node)

	bindViewer(t, client, tenantName)
	prepareOtherNode(t, client)
	if !await(t, func() bool {
		text, _ = plugin(t, tenant, "who", vip)
		return strings.Contains(text, "the node node answers")
	}) {
		t.Fatalf("who prints\n%s", text)
	}
	if text, status = plugin(t, tenant, "move", "web", node); status != 0 {
		t.Errorf("move to the owner: exit status %d\n%s", status, text)
	}
	const restored = "the annotation lanlord.io/prefer-node is as before"
	if text, status = plugin(t, tenant, "move", "web", otherNode); status != 1 || !strings.Contains(text, restored) {
		t.Errorf("a move that fails: exit status %d\n%s", status, text)
	}
	checkWish(t, client, node)
	if text, status = plugin(t, tenant, "move", "web", otherNode, "--timeout=3s"); status == 0 || !strings.Contains(text, restored) {
		t.Errorf("a move without time: exit status %d\n%s", status, text)
	}
	checkWish(t, client, node)
	changeMeanwhile(t, client, tenant)

	file := filepath.Join(dir, "other.yaml")
	config := "address-pools:\n- {name: a, protocol: layer2, addresses: [" + self.Addr().Next().Next().String() + "]}\n"
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	text, status = plugin(t, server.Kubeconfig("admin"), "diff", "-f", file)
	if status != 1 || !strings.Contains(text, "default/web  "+vip+"  "+self.Addr().Next().Next().String()) {
		t.Errorf("diff: exit status %d\n%s", status, text)
	}
}

// changeMeanwhile changes the annotation while a move waits. The move must leave the new value.
func changeMeanwhile(t *testing.T, client kubernetes.Interface, tenant string) {
	t.Helper()
	type result struct {
		text   string
		status int
	}
	ended := make(chan result)
	go func() {
		text, status := plugin(t, tenant, "move", "web", otherNode)
		ended <- result{text, status}
	}()
	if !await(t, func() bool { return wishOf(t, client) == otherNode }) {
		t.Error("move does not set the annotation")
	}
	const third = "third"
	if _, err := client.CoreV1().Services("default").Patch(t.Context(), "web", types.MergePatchType,
		[]byte(`{"metadata":{"annotations":{"`+preferNode+`":"`+third+`"}}}`), metav1.PatchOptions{}); err != nil {
		t.Error(err)
	}
	if r := <-ended; r.status != 1 || !strings.Contains(r.text, "somebody else has changed the annotation") {
		t.Errorf("a move beside another one: exit status %d\n%s", r.status, r.text)
	}
	checkWish(t, client, third)
}

func wishOf(t *testing.T, client kubernetes.Interface) string {
	t.Helper()
	o, err := client.CoreV1().Services("default").Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Error(err)
		return ""
	}
	return o.Annotations[preferNode]
}

func checkWish(t *testing.T, client kubernetes.Interface, want string) {
	t.Helper()
	if got := wishOf(t, client); got != want {
		t.Errorf("the annotation is %q, want %q", got, want)
	}
}

// namespaceAdmin makes a user with the rights of an administrator in the namespace default, and returns the user's kubeconfig.
func namespaceAdmin(t *testing.T, client kubernetes.Interface, dir, url string) string {
	t.Helper()
	must := mustOf(t)
	must(client.CoreV1().ServiceAccounts("default").Create(t.Context(),
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: tenantName}}, metav1.CreateOptions{}))
	// The ClusterRole admin is empty here: the controller that fills it from other ClusterRoles does not run.
	must(client.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "tenant-services"},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"services"}, Verbs: []string{"get", "list", "watch", "create", "update", "patch", "delete"}},
			{APIGroups: []string{""}, Resources: []string{"events", "pods", "configmaps"}, Verbs: []string{"get", "list", "watch"}},
		},
	}, metav1.CreateOptions{}))
	must(client.RbacV1().RoleBindings("default").Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "tenant-services"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "tenant-services"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "default", Name: tenantName}},
	}, metav1.CreateOptions{}))
	kubeconfig := filepath.Join(dir, "tenant.kubeconfig")
	writeKubeconfig(t, client, "default", tenantName, kubeconfig, url)
	return kubeconfig
}

// prepareOtherNode makes a Node with a Pod of a speaker that does not exist.
func prepareOtherNode(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	must := mustOf(t)
	core := client.CoreV1()
	made, err := core.Nodes().Create(t.Context(), &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: otherNode, Labels: map[string]string{"kubernetes.io/os": "linux"}},
	}, metav1.CreateOptions{})
	must(made, err)
	made.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	must(core.Nodes().UpdateStatus(t.Context(), made, metav1.UpdateOptions{}))
	pod, err := core.Pods(system).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "speaker-other", Labels: map[string]string{"app.kubernetes.io/name": "lanlord", "component": speaker},
		},
		Spec: corev1.PodSpec{
			NodeName: otherNode, ServiceAccountName: speaker, HostNetwork: true, Containers: []corev1.Container{{
				Name: speaker, Image: "lanlord/lanlord", Command: []string{"/" + speaker},
			}},
		},
	}, metav1.CreateOptions{})
	must(pod, err)
	pod.Status = corev1.PodStatus{
		Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
	}
	must(core.Pods(system).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}))
}

// plugin runs the plugin, and returns what it prints and the exit status.
func plugin(t *testing.T, kubeconfig string, args ...string) (text string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out bytes.Buffer
	command := exec.CommandContext(ctx, inside.File("kubectl-lanlord"), append(args, "--kubeconfig="+kubeconfig)...)
	command.Stdout, command.Stderr = &out, &out
	err := command.Run()
	if exit, is := errors.AsType[*exec.ExitError](err); is {
		return out.String(), exit.ExitCode()
	}
	if err != nil {
		t.Error(err)
	}
	return out.String(), 0
}
