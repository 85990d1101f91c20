package distribution

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanlord/lanlord/e2e/controlplane"
	"github.com/lanlord/lanlord/e2e/inside"
)

const (
	node = "node"
	// patience bounds a wait that takes seconds on an idle machine.
	patience = 2 * time.Minute
	// silence is the time for which a speaker without any sign of a kube-proxy waits.
	silence = 15 * time.Second
)

// TestServiceProxies starts a speaker as a Pod after a boot does, on a node whose service proxy is a real kube-proxy: in
// the modes iptables and nftables, and with the metrics on another port. The third stands for Cilium and others that do the
// work of kube-proxy: a cluster IP leads to the API server, and nobody answers on kube-proxy's port.
func TestServiceProxies(t *testing.T) {
	for _, proxy := range []struct{ name, mode, metrics, says string }{
		{"iptables", "iptables", "127.0.0.1:10249", "kube-proxy has its rules"},
		{"nftables", "nftables", "127.0.0.1:10249", "kube-proxy has its rules"},
		{"not kube-proxy", "nftables", "127.0.0.1:10248", "another service proxy has its rules"},
	} {
		t.Run(proxy.name, func(t *testing.T) {
			s := startServer(t)
			s.must("apply", "--server-side", "-f", manifest)
			s.addNode()
			s.putToken()
			end := s.startProxy(proxy.mode, proxy.metrics)
			defer end()
			log := s.startSpeaker()
			s.await("state=ready", log)
			text := read(t, log)
			waited := waitOf(t, text)
			switch {
			case waited < 0 && proxy.name != "not kube-proxy": // the rules were there at the first look
			case !strings.Contains(text, proxy.says):
				t.Errorf("the speaker does not say %q:\n%s", proxy.says, text)
			case waited >= silence:
				t.Errorf("the speaker has waited for %v:\n%s", waited, text)
			}
		})
	}
}

// waitOf returns the wait for the service proxy that the speaker has logged, -1 for none.
func waitOf(t *testing.T, text string) time.Duration {
	t.Helper()
	match := regexp.MustCompile(`waited=(\S+)`).FindStringSubmatch(text)
	if match == nil {
		return -1
	}
	waited, err := time.ParseDuration(match[1])
	if err != nil {
		t.Fatal(err)
	}
	return waited
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// await waits for a text in a file.
func (s *server) await(text, file string) {
	s.t.Helper()
	for end := time.Now().Add(patience); !strings.Contains(read(s.t, file), text); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("no %q in %s after %v:\n%s", text, file, patience, read(s.t, file))
		}
	}
}

// addNode makes the Node, with its address.
func (s *server) addNode() {
	s.t.Helper()
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node, Labels: map[string]string{corev1.LabelHostname: node}}}
	if _, err := s.Admin.CoreV1().Nodes().Create(s.t.Context(), n, metav1.CreateOptions{}); err != nil {
		s.t.Fatal(err)
	}
	status := fmt.Sprintf(`{"status":{"addresses":[{"type":"InternalIP","address":%q}]}}`, self.Addr())
	if _, err := s.Admin.CoreV1().Nodes().Patch(s.t.Context(), node, "application/merge-patch+json", []byte(status),
		metav1.PatchOptions{}, "status"); err != nil {
		s.t.Fatal(err)
	}
	key := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "lanlord-gossip", Namespace: namespace},
		Data:       map[string][]byte{"key-1": []byte("0123456789abcdef0123456789abcdef")},
	}
	if _, err := s.Admin.CoreV1().Secrets(namespace).Create(s.t.Context(), key, metav1.CreateOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

// putToken puts the credentials of the speaker's ServiceAccount where a Pod finds them.
func (s *server) putToken() {
	s.t.Helper()
	answer, err := s.Admin.CoreV1().ServiceAccounts(namespace).CreateToken(s.t.Context(), "speaker",
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(3600))}}, metav1.CreateOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	const dir = "/var/run/secrets/kubernetes.io/serviceaccount"
	if err := os.MkdirAll(dir, 0o700); err != nil {
		s.t.Fatal(err)
	}
	for name, text := range map[string]string{
		"token": answer.Status.Token, "namespace": namespace, "ca.crt": read(s.t, filepath.Join(s.Dir, "ca.crt")),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
}

// startProxy starts kube-proxy. The returned function ends kube-proxy and removes the rules.
func (s *server) startProxy(mode, metrics string) (end func()) {
	s.t.Helper()
	hyperkube := s.Hyperkube()
	args := []string{
		"kube-proxy", "--kubeconfig=" + s.Kubeconfig("admin"), "--proxy-mode=" + mode, "--hostname-override=" + node,
		"--metrics-bind-address=" + metrics, "--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0",
		"--conntrack-tcp-timeout-close-wait=0",
	}
	wait := s.background("kube-proxy", exec.Command(hyperkube, args...))
	return func() {
		wait()
		out, err := exec.Command(hyperkube, "kube-proxy", "--cleanup").CombinedOutput()
		if err != nil {
			s.t.Errorf("kube-proxy --cleanup: %v: %s", err, out)
		}
	}
}

// startSpeaker starts the speaker with the environment of a Pod, and returns the path of the speaker's log.
func (s *server) startSpeaker() string {
	s.t.Helper()
	command := exec.Command(inside.File("speaker"), "--node-name="+node)
	command.Env = append(os.Environ(), "KUBERNETES_SERVICE_HOST="+controlplane.ClusterIP.String(), "KUBERNETES_SERVICE_PORT=443")
	end := s.background("speaker", command)
	s.t.Cleanup(end)
	return filepath.Join(s.Dir, "speaker.log")
}

// background starts a program that logs to a file. The returned function ends the program.
func (s *server) background(name string, command *exec.Cmd) (end func()) {
	s.t.Helper()
	log, err := os.Create(filepath.Join(s.Dir, name+".log"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close() // the program has its own
	command.Stdout, command.Stderr = log, log
	if err := controlplane.StartProcess(command); err != nil {
		s.t.Fatal(err)
	}
	return func() {
		_ = command.Process.Kill() // the program may just have ended
		_ = command.Wait()
		if s.t.Failed() {
			s.t.Logf("%s: %s", name, read(s.t, log.Name()))
		}
	}
}
