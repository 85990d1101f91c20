package scale

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lanlord/lanlord/e2e/metallb"
	"github.com/lanlord/lanlord/e2e/wire"
)

const (
	guestNamespace = "metallb-system"
	guestAccount   = "metallb"
	guestLabels    = "app=metallb,component=speaker"
	guestGroup     = "/apis/metallb.io/v1beta1"
	// MetalLB serves metrics on guestPort, and its speakers talk to each other on guestGossipPort.
	guestPort, guestGossipPort = "7472", "7946"
)

// guest is MetalLB, v0.14 or later, in the same cluster: with its own definitions, rights, Pods and resources, which
// Lanlord does not look at. Its programs see a root directory with no more than an image has, and with the files that
// MetalLB's manifest mounts there.
type guest struct {
	root string
}

// newGuest makes all that MetalLB needs. manifest is the path of MetalLB's own manifest, of which the
// CustomResourceDefinitions are applied.
func (r *Rig) newGuest(ctx context.Context, s Side) (*guest, error) {
	g := &guest{root: filepath.Join(r.options.Dir, "metallb")}
	for _, step := range []func() error{
		func() error { return r.define(ctx, s.MetalLB) },
		func() error { return r.admit(ctx) },
		func() error { return r.configureGuest(ctx) },
		func() error { return r.furnish(ctx, g, s) },
	} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("make room for MetalLB: %w", err)
		}
	}
	return g, nil
}

// define applies the CustomResourceDefinitions of a manifest, and waits until the API server serves them.
func (r *Rig) define(ctx context.Context, manifest string) error {
	definitions, err := metallb.Definitions(manifest)
	if err != nil {
		return err
	}
	for _, o := range definitions {
		unstructured.RemoveNestedField(o.Object, "spec", "conversion") // by a webhook that nobody serves
		if err := r.apply(ctx, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"+o.GetName(), o.Object); err != nil {
			return err
		}
	}
	for _, plural := range []string{"ipaddresspools", "l2advertisements", "bgpadvertisements", "communities", "bfdprofiles"} {
		err := until(ctx, plural, progressPoll, func() (bool, error) {
			_, err := r.server.Admin.CoreV1().RESTClient().Get().AbsPath(guestGroup, plural).DoRaw(ctx)
			return err == nil, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// apply applies an object of any kind under a path.
func (r *Rig) apply(ctx context.Context, path string, object map[string]any) error {
	body, err := json.Marshal(object)
	if err != nil {
		return err
	}
	err = r.server.Admin.CoreV1().RESTClient().Patch(types.ApplyPatchType).AbsPath(path).
		Param("fieldManager", "bench").Param("force", "true").Body(body).Do(ctx).Error()
	if err != nil {
		return fmt.Errorf("apply %s: %w", path, err)
	}
	return nil
}

// admit makes MetalLB's namespace, an account with all rights, and the Pods that the programs look for.
func (r *Rig) admit(ctx context.Context) error {
	const all = "cluster-admin"
	err := r.server.Put(
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: guestNamespace}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: guestNamespace, Name: guestAccount}},
		&rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: guestAccount},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: all},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: guestNamespace, Name: guestAccount}},
		},
	)
	if err != nil {
		return err
	}
	if err := r.guestPod(ctx, "controller", "", nil, "192.0.2.1"); err != nil { // which nobody asks for
		return err
	}
	for i, node := range r.lab.Nodes() {
		labels := map[string]string{"app": "metallb", "component": "speaker"}
		if err := r.guestPod(ctx, "speaker-"+node, node, labels, wire.GossipAddress(i).Addr().String()); err != nil {
			return err
		}
	}
	return nil
}

// guestPod makes a Pod that has an address, as a kubelet does.
func (r *Rig) guestPod(ctx context.Context, name, node string, labels map[string]string, addr string) error {
	pods := r.server.Admin.CoreV1().Pods(guestNamespace)
	_, err := pods.Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: guestNamespace, Name: name, Labels: labels},
		Spec: corev1.PodSpec{
			NodeName: node, ServiceAccountName: guestAccount,
			AutomountServiceAccountToken: new(false), Containers: []corev1.Container{{Name: "metallb", Image: "metallb"}},
		},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	patch := fmt.Appendf(nil, `{"status":{"phase":"Running","podIP":%q,"podIPs":[{"ip":%[1]q}]}}`, addr)
	_, err = pods.Patch(ctx, name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}

// configureGuest makes the pool of the laboratory MetalLB's too.
func (r *Rig) configureGuest(ctx context.Context) error {
	for plural, o := range map[string]map[string]any{
		"ipaddresspools":   {"kind": "IPAddressPool", "spec": map[string]any{"addresses": []any{wire.Pool().String()}}},
		"l2advertisements": {"kind": "L2Advertisement", "spec": map[string]any{"ipAddressPools": []any{"wire"}}},
	} {
		o["apiVersion"], o["metadata"] = "metallb.io/v1beta1", map[string]any{"name": "wire", "namespace": guestNamespace}
		if err := r.apply(ctx, guestGroup+"/namespaces/"+guestNamespace+"/"+plural+"/wire", o); err != nil {
			return err
		}
	}
	return nil
}

// furnish makes the root directory: the programs, a kubeconfig, the key of the speakers, and the interfaces to leave
// alone as MetalLB's manifest has them.
func (r *Rig) furnish(ctx context.Context, g *guest, s Side) error {
	token, err := r.server.Token(ctx, guestNamespace, guestAccount)
	if err != nil {
		return err
	}
	url, authority := r.server.Access()
	kubeconfig, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "e2e",
		"clusters": []any{map[string]any{"name": "e2e", "cluster": map[string]any{
			"server": url, "certificate-authority-data": authority,
		}}},
		"users":    []any{map[string]any{"name": "e2e", "user": map[string]any{"token": token}}},
		"contexts": []any{map[string]any{"name": "e2e", "context": map[string]any{"cluster": "e2e", "user": "e2e"}}},
	})
	if err != nil {
		return err
	}
	key := make([]byte, 32)
	rand.Read(key) // never fails
	files := map[string][]byte{
		"kubeconfig": kubeconfig, "ml/secretkey": []byte(hex.EncodeToString(key)),
		"etc/metallb/excludel2.yaml": []byte("announcedInterfacesToExclude: ['^docker.*', '^cbr.*', '^virbr.*', '^lo$', '^veth.*']\n"),
	}
	for name, program := range map[string]string{"controller": s.Controller, "speaker": s.Speaker} {
		if files[name], err = os.ReadFile(program); err != nil {
			return err
		}
	}
	for name, content := range files {
		path := filepath.Join(g.root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o755); err != nil {
			return err
		}
	}
	return os.MkdirAll(filepath.Join(g.root, "tmp"), 0o755)
}

// enter makes a command one of MetalLB's programs, in MetalLB's root directory. A variable that a version does not know
// does nothing.
func (g *guest) enter(cmd *exec.Cmd, program string, args []string, environment ...string) {
	cmd.Path, cmd.Dir = "/"+program, "/"
	cmd.Args = append([]string{program, "--port=" + guestPort}, args...)
	cmd.Env = append([]string{"KUBECONFIG=/kubeconfig", "METALLB_NAMESPACE=" + guestNamespace, "METALLB_BGP_TYPE=native",
		"HOME=/", "USER=root"}, environment...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: g.root}
}

func (g *guest) controller() *exec.Cmd {
	cmd := new(exec.Cmd)
	g.enter(cmd, "controller", []string{"--webhook-mode=disabled"}, "METALLB_POD_NAME=controller")
	return cmd
}

func (g *guest) speaker(node string, number int, cmd *exec.Cmd) {
	g.enter(cmd, "speaker", nil, "METALLB_NODE_NAME="+node, "METALLB_POD_NAME=speaker-"+node, "METALLB_ML_LABELS="+guestLabels,
		"METALLB_ML_BIND_ADDR="+wire.GossipAddress(number).Addr().String(), "METALLB_ML_BIND_PORT="+guestGossipPort,
		"METALLB_ML_SECRET_KEY_PATH=/ml", "METALLB_HOST=127.0.0.1")
}

// awaitGuest waits until MetalLB's controller gives an address to a Service, which is deleted again.
func (r *Rig) awaitGuest(ctx context.Context) error {
	const name = "probe"
	if err := r.createService(ctx, name, nil); err != nil {
		return err
	}
	services := r.server.Admin.CoreV1().Services(appNamespace)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err := until(ctx, "MetalLB's controller to give an address", progressPoll, func() (bool, error) {
		select {
		case <-r.ended:
			cancel(errors.New("the controller has ended"))
		default:
		}
		s, err := services.Get(ctx, name, metav1.GetOptions{})
		return err == nil && len(s.Status.LoadBalancer.Ingress) == 1, err
	})
	if err != nil {
		return err
	}
	return services.Delete(ctx, name, metav1.DeleteOptions{})
}
