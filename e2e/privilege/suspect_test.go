package privilege

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	controller = "controller"
	speaker    = "speaker"
	node       = "node"
	annotation = "lanlord.io/networks"
)

// suspect is a daemon that lacks a right, or none. It has a namespace, a class of Services and an address of its own.
type suspect struct {
	client    kubernetes.Interface
	component string
	// metallb is true for one with MetalLB's resources as its configuration, which are in its own namespace.
	metallb   bool
	missing   *right
	namespace string
	number    int
	log       string
	process   *exec.Cmd
	ended     chan struct{}
	// lost is what it could not do.
	lost []string
}

func (s *suspect) String() string {
	name := s.component
	if s.metallb {
		name += " of MetalLB's resources"
	}
	if s.missing == nil {
		return name + " with all rights"
	}
	return name + " without " + s.missing.String()
}

// addr is the only address of its pool.
func (s *suspect) addr() netip.Addr {
	a := self.Addr().As4()
	a[3] = byte(100 + s.number)
	return netip.AddrFrom4(a)
}

// requested is the address that the Gateway of the controller's Service asks for, in the same pool.
func (s *suspect) requested() netip.Addr {
	a := s.addr().As4()
	a[2]++
	return netip.AddrFrom4(a)
}

func (s *suspect) class() string { return "example.com/" + s.namespace }

// listen returns the address at which the daemon serves metrics and the encrypted status.
func (s *suspect) listen() string { return fmt.Sprintf("127.0.0.1:%d", 30000+s.number) }

// encrypts reports whether the daemon tells its status.
func (s *suspect) encrypts(*testing.T) bool {
	response, err := http.Get("http://" + s.listen() + "/status.sealed")
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// prepare makes what the daemon is to work on.
func (s *suspect) prepare(t *testing.T) {
	t.Helper()
	ctx, core := t.Context(), s.client.CoreV1()
	if err := s.configure(ctx, false); err != nil {
		t.Fatal(err)
	}
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "web"},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: new(s.class()),
			Ports: []corev1.ServicePort{{Port: 80}},
		},
	}
	if s.component == controller {
		service.Labels = map[string]string{"gateway.networking.k8s.io/gateway-name": "public"}
		createGateway(t, s.client, s.namespace, s.requested())
	} else {
		service.Annotations = map[string]string{"lanlord.io/ip-allocated-from-pool": "a"} // as the controller writes it
	}
	made, err := core.Services(s.namespace).Create(ctx, service, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if s.component == controller {
		return
	}
	made.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: s.addr().String()}}
	if _, err := core.Services(s.namespace).UpdateStatus(ctx, made, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := core.Pods(s.namespace).Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: speaker, Labels: map[string]string{"component": speaker}},
		Spec:       corev1.PodSpec{NodeName: node, ServiceAccountName: s.namespace, Containers: []corev1.Container{{Name: speaker, Image: "lanlord/lanlord"}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := core.Secrets(s.namespace).Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "lanlord-gossip"},
		Data:       map[string][]byte{"key-1": []byte("0123456789abcdef0123456789abcdef")},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := core.Secrets(s.namespace).Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "lanlord-viewer"},
		Data:       map[string][]byte{"key-1": []byte("0123456789abcdef0123456789abcdef")},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.DiscoveryV1().EndpointSlices(s.namespace).Create(ctx, &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: s.namespace, Name: "web", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"10.97.0.1"}, NodeName: new(node), Conditions: discoveryv1.EndpointConditions{Ready: new(true)}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// wanted is the address in the configuration.
func (s *suspect) wanted(bad bool) netip.Addr {
	if bad && s.component == speaker {
		return self.Masked().Addr().Next().Next()
	}
	return s.addr()
}

// configure writes the configuration, good or bad, where the daemon reads it.
func (s *suspect) configure(ctx context.Context, bad bool) error {
	if s.metallb {
		return s.configureResources(ctx, bad)
	}
	_, err := s.client.CoreV1().ConfigMaps(s.namespace).Apply(ctx, s.config(bad), metav1.ApplyOptions{FieldManager: "test", Force: true})
	return err
}

// configureResources writes the same as MetalLB's resources.
func (s *suspect) configureResources(ctx context.Context, bad bool) error {
	addresses := s.wanted(bad).String() + "/32"
	if bad && s.component == controller {
		addresses = "10.99.0.9-10.99.0.3"
	}
	objects := []string{
		fmt.Sprintf(`{"apiVersion":"metallb.io/v1beta1","kind":"IPAddressPool","metadata":{"name":"a"},"spec":{"addresses":[%q]}}`, addresses),
		`{"apiVersion":"metallb.io/v1beta1","kind":"L2Advertisement","metadata":{"name":"all"},"spec":{}}`,
	}
	if s.component == speaker {
		// The Secret does not exist, so nobody is dialled.
		objects = append(objects, `{"apiVersion":"metallb.io/v1beta2","kind":"BGPPeer","metadata":{"name":"tor"},"spec":`+
			`{"myASN":64512,"peerASN":64513,"peerAddress":"192.0.2.1","passwordSecret":{"name":"lanlord-bgp"}}}`)
	}
	for _, text := range objects {
		if err := applyCustom(ctx, s.client, s.namespace, text); err != nil {
			return err
		}
	}
	return nil
}

// config is the configuration, or one that makes the daemon tell of it: wrong for the controller, and without the address for
// the speaker.
func (s *suspect) config(bad bool) *applycorev1.ConfigMapApplyConfiguration {
	addr, more := s.wanted(bad).String(), ""
	if s.component == speaker {
		// The Secret does not exist, so nobody is dialled.
		more = "peers:\n- {my-asn: 64512, peer-asn: 64513, peer-address: 192.0.2.1, password-secret: lanlord-bgp/tor}\n"
	}
	if bad && s.component == controller {
		more = "wrong: 1\n"
	}
	if s.component == controller {
		addr += ", " + s.requested().String()
	}
	return applycorev1.ConfigMap("config", s.namespace).WithData(
		map[string]string{"config": fmt.Sprintf("address-pools:\n- {name: a, protocol: layer2, addresses: [%s]}\n%s", addr, more)})
}

// marks are what it logs each time that it has seen a good configuration, and a bad one.
func (s *suspect) marks() (good, bad string) {
	if s.component == controller {
		return "configuration accepted", "configuration rejected"
	}
	return "ownership gained", "ownership withdrawn"
}

// kubeconfig is the path of the kubeconfig of the daemon.
func (s *suspect) kubeconfig(dir string) string { return filepath.Join(dir, s.namespace+".kubeconfig") }

// writeKubeconfig writes a kubeconfig for a ServiceAccount. The certificate of the API server is in the folder of the
// file.
func writeKubeconfig(t *testing.T, client kubernetes.Interface, namespace, account, file, server string) {
	t.Helper()
	token, err := client.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), account,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(3600))}},
		metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters: [{name: e2e, cluster: {server: %q, certificate-authority: %q}}]
users: [{name: e2e, user: {token: %q}}]
contexts: [{name: e2e, context: {cluster: e2e, user: e2e}}]
current-context: e2e
`, server, filepath.Join(filepath.Dir(file), "ca.crt"), token.Status.Token), 0o600); err != nil {
		t.Fatal(err)
	}
}

// start starts the program with the rights of its ServiceAccount alone.
func (s *suspect) start(t *testing.T, program, dir, server string) {
	t.Helper()
	kubeconfig := s.kubeconfig(dir)
	writeKubeconfig(t, s.client, s.namespace, s.namespace, kubeconfig, server)
	args := []string{"--kubeconfig=" + kubeconfig, "--namespace=" + s.namespace, "--load-balancer-class=" + s.class(),
		"--listen=" + s.listen(), "--status-listen="}
	if s.metallb {
		args = append(args, "--config-source=metallb", "--config-namespace="+s.namespace)
	}
	switch {
	case s.component == controller && !s.metallb:
		args = append(args, "--gateways")
	case s.component == speaker:
		args = append(args, "--node-name="+node, "--pod-name="+speaker, "--kube-proxy-metrics=", fmt.Sprintf("--gossip-port=%d", 20000+s.number))
	}
	s.process = exec.Command(program, args...)
	s.process.Env = os.Environ()
	if s.missing != nil && s.missing.verb == "list" {
		// A new API server can send the list with the watch. This is what happens with one that cannot.
		s.process.Env = append(s.process.Env, "KUBE_FEATURE_WatchListClient=false")
	}
	s.log = filepath.Join(dir, s.namespace+".log")
	log, err := os.Create(s.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() // the process has its own
	s.process.Stdout, s.process.Stderr = log, log
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	s.ended = make(chan struct{})
	go func() {
		_ = s.process.Wait() // some end by themselves, for want of a right
		close(s.ended)
	}()
}

// stop tells it to end, and kills it if it does not.
func (s *suspect) stop() {
	_ = s.process.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-s.ended:
	case <-time.After(time.Minute):
		_ = s.process.Process.Kill()
		<-s.ended
		s.lost = append(s.lost, "ends when told")
	}
}

func (s *suspect) logged() string {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// denied returns the first line of the log in which the API server refuses the missing right, empty if there is none.
func (s *suspect) denied() string {
	for line := range strings.Lines(s.logged()) {
		if strings.Contains(strings.ReplaceAll(line, `\"`, `"`), s.missing.denial()) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// able are the functions, by name, that a daemon with all rights has.
func (s *suspect) able() map[string]func(*testing.T) bool {
	all := map[string]func(*testing.T) bool{
		"tells of it":   func(t *testing.T) bool { return s.told(t) > 0 },
		"tells it anew": func(t *testing.T) bool { return s.told(t) > 1 },

		"encrypts its status": s.encrypts,
	}
	if s.component == speaker {
		all["announces the address"] = func(*testing.T) bool { return strings.Contains(s.logged(), "ownership gained") }
		all["notes its networks"] = func(t *testing.T) bool {
			pod, err := s.client.CoreV1().Pods(s.namespace).Get(t.Context(), speaker, metav1.GetOptions{})
			return err == nil && pod.Annotations[annotation] != ""
		}
		return all
	}
	all["gives an address"] = func(t *testing.T) bool {
		service, err := s.client.CoreV1().Services(s.namespace).Get(t.Context(), "web", metav1.GetOptions{})
		return err == nil && len(service.Status.LoadBalancer.Ingress) == 1
	}
	if !s.metallb {
		all["gives what the Gateway asks for"] = func(t *testing.T) bool {
			service, err := s.client.CoreV1().Services(s.namespace).Get(t.Context(), "web", metav1.GetOptions{})
			return err == nil && len(service.Status.LoadBalancer.Ingress) == 1 && service.Status.LoadBalancer.Ingress[0].IP == s.requested().String()
		}
	}
	all["makes the gossip key"] = func(t *testing.T) bool {
		_, err := s.client.CoreV1().Secrets(s.namespace).Get(t.Context(), "lanlord-gossip", metav1.GetOptions{})
		return err == nil
	}
	return all
}

// told is how often the daemon has told the same, at most.
func (s *suspect) told(t *testing.T) int32 {
	list, err := s.client.CoreV1().Events(s.namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Error(err)
		return 0
	}
	var most int32
	for _, e := range list.Items {
		if e.Source.Component == "lanlord-"+s.component {
			most = max(most, e.Count)
		}
	}
	return most
}

// each calls f for all at once.
func each(all []*suspect, f func(*suspect)) {
	var wg sync.WaitGroup
	for _, s := range all {
		wg.Go(func() { f(s) })
	}
	wg.Wait()
}
