package claims

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/lanlord/lanlord/e2e/controlplane"
	"github.com/lanlord/lanlord/e2e/inside"
)

const (
	// patience is for what takes a second on an idle machine.
	patience = 2 * time.Minute
	system   = "lanlord-system"
	shop     = "shop"
	class    = "example.com/other"
)

// rig is an API server with a controller.
type rig struct {
	*testing.T
	server  *controlplane.Local
	process *exec.Cmd
}

func newRig(t *testing.T) *rig {
	r := &rig{T: t, server: controlplane.StartLocal(t, self.Addr(), "../../deploy/install.yaml")}
	r.put(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: shop}})
	r.grantGateways()
	return r
}

func (r *rig) put(objects ...runtime.Object) {
	r.Helper()
	if err := r.server.Put(objects...); err != nil {
		r.Fatal(err)
	}
}

// grantGateways applies the rights of deploy/gateways.
func (r *rig) grantGateways() {
	r.Helper()
	text, err := os.ReadFile("../../deploy/gateways/rbac.yaml")
	if err != nil {
		r.Fatal(err)
	}
	for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
		o, _, err := scheme.Codecs.UniversalDeserializer().Decode(document, nil, nil)
		if err != nil {
			r.Fatal(err)
		}
		r.put(o)
	}
}

// start starts the controller.
func (r *rig) start() {
	r.Helper()
	r.process = exec.Command(inside.File("controller"), "--kubeconfig="+r.server.Kubeconfig(controlplane.Controller),
		"--namespace="+system, "--listen=", "--status-listen=", "--gateways")
	log, err := os.OpenFile(r.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		r.Fatal(err)
	}
	defer log.Close() // the process has its own
	r.process.Stdout, r.process.Stderr = log, log
	if err := controlplane.StartProcess(r.process); err != nil {
		r.Fatal(err)
	}
}

// stop ends the controller.
func (r *rig) stop() {
	r.Helper()
	if err := r.process.Process.Signal(syscall.SIGTERM); err != nil {
		r.Fatal(err)
	}
	if err := r.process.Wait(); err != nil {
		r.Error(err)
	}
}

func (r *rig) log() string { return filepath.Join(r.server.Dir, "controller.log") }

// await waits until check returns no complaint.
func (r *rig) await(what string, check func() error) {
	r.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	text, _ := os.ReadFile(r.log()) // what is missing is missing from the message only
	r.Fatalf("%s: %v\n%s", what, err, text)
}

// configure writes the configuration.
func (r *rig) configure(text string) {
	r.Helper()
	maps := r.server.Admin.CoreV1().ConfigMaps(system)
	o := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: "config"}, Data: map[string]string{"config": text}}
	_, err := maps.Update(r.Context(), o, metav1.UpdateOptions{})
	if err != nil {
		_, err = maps.Create(r.Context(), o, metav1.CreateOptions{})
	}
	if err != nil {
		r.Fatal(err)
	}
}

// service returns a Service of Lanlord. It may request an address.
func service(name string, requests string) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: name},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80}}},
	}
	if requests != "" {
		s.Annotations = map[string]string{"lanlord.io/load-balancer-ips": requests}
	}
	return s
}

// foreign makes a Service of another class that shows an address.
func (r *rig) foreign(name, shows string) {
	r.Helper()
	s := service(name, "")
	s.Spec.LoadBalancerClass = new(class)
	r.put(s)
	r.patch("services", shop, name, fmt.Sprintf(`{"status":{"loadBalancer":{"ingress":[{"ip":%q}]}}}`, shows), "status")
}

// patch merges text into an object of the core group.
func (r *rig) patch(resource, namespace, name, text, subresource string) {
	r.Helper()
	request := r.server.Admin.CoreV1().RESTClient().Patch(types.MergePatchType).NamespaceIfScoped(namespace, namespace != "").
		Resource(resource).Name(name).Body([]byte(text))
	if subresource != "" {
		request = request.SubResource(subresource)
	}
	if err := request.Do(r.Context()).Error(); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) delete(name string) {
	r.Helper()
	if err := r.server.Admin.CoreV1().Services(shop).Delete(r.Context(), name, metav1.DeleteOptions{}); err != nil {
		r.Fatal(err)
	}
}

// raw makes a request for objects of kinds that client-go does not know.
func (r *rig) raw(verb, path, text string) error {
	request := r.server.Admin.Discovery().RESTClient().Verb(verb).AbsPath(path).Body([]byte(text))
	if verb == "PATCH" {
		request = request.SetHeader("Content-Type", string(types.MergePatchType))
	} else {
		request = request.SetHeader("Content-Type", "application/json")
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	return request.Do(ctx).Error()
}

// expect waits until a Service has exactly this address, none for "", and a condition of the type whose reason and message contain
// text.
func (r *rig) expect(name, addr, condition, text string) {
	r.Helper()
	r.await(name, func() error {
		s, err := r.server.Admin.CoreV1().Services(shop).Get(r.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		got := ""
		for _, in := range s.Status.LoadBalancer.Ingress {
			got += in.IP
		}
		said := ""
		for _, c := range s.Status.Conditions {
			if c.Type == condition {
				said = c.Reason + ": " + c.Message
			}
		}
		if got != addr || !strings.Contains(said, text) || text == "" && said != "" {
			return fmt.Errorf("%s has %q and says %q, want %q and %q", name, got, said, addr, text)
		}
		return nil
	})
}

// expectEvent waits for an Event about a Service.
func (r *rig) expectEvent(name, reason, text string) {
	r.Helper()
	r.await("an Event about "+name, func() error {
		list, err := r.server.Admin.CoreV1().Events(shop).List(r.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		var said []string
		for _, e := range list.Items {
			if e.InvolvedObject.Name == name {
				said = append(said, e.Reason+": "+e.Message)
				if e.Reason == reason && strings.Contains(e.Message, text) {
					return nil
				}
			}
		}
		return fmt.Errorf("no %s with %q among %q", reason, text, said)
	})
}
