package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// prometheusDir is where all of it is, in the node's container: docker cp does not see what is mounted there, such as /run.
	prometheusDir = "/opt/lanlord-e2e-prometheus"
	// prometheusAddress is where it listens there.
	prometheusAddress = "127.0.0.1:9095"
	// discoveryInterval is how often the pods are listed for it.
	discoveryInterval = time.Second
)

// Prometheus is a server that runs beside the pods on one of the nodes, from where it reaches them all.
type Prometheus struct {
	lab  *Lab
	node Node
	// Targets is the file that names the pods, with all that Kubernetes' discovery tells of them: Debian builds Prometheus without
	// that discovery.
	Targets string
}

// StartPrometheus starts this machine's Prometheus on a node, and keeps its list of pods until the test ends. Files are its
// configuration, prometheus.yml, and what that names.
func (l *Lab) StartPrometheus(node Node) *Prometheus {
	l.t.Helper()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		l.t.Fatal("the program prometheus is missing: install the Debian package prometheus (e2e/packages.sh prometheus)")
	}
	p := &Prometheus{lab: l, node: node, Targets: path.Join(prometheusDir, "targets.json")}
	p.stop()
	l.ExecOnNode(node, "mkdir", "-p", prometheusDir)
	l.docker("cp", "-L", program, node.Name+":"+path.Join(prometheusDir, "prometheus"))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	p.discover(ctx)
	go func() {
		defer close(ended)
		tick := time.NewTicker(discoveryInterval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				p.discover(ctx)
			}
		}
	}()
	l.t.Cleanup(func() {
		cancel()
		<-ended
		p.stop()
	})
	return p
}

// stop ends what runs, also of an earlier test that was interrupted, and removes its files.
func (p *Prometheus) stop() {
	_, _ = p.lab.TryOnNode(context.Background(), p.node, "pkill", "-KILL", "-x", "prometheus")
	_, _ = p.lab.TryOnNode(context.Background(), p.node, "rm", "-rf", prometheusDir)
}

// Run starts it with a configuration and other files beside it, or starts it again with other ones. It returns when the server is
// ready. What was scraped before is gone.
func (p *Prometheus) Run(configuration string, files map[string]string) {
	l := p.lab
	l.t.Helper()
	_, _ = l.TryOnNode(context.Background(), p.node, "pkill", "-KILL", "-x", "prometheus")
	data := path.Join(prometheusDir, "data")
	l.ExecOnNode(p.node, "rm", "-rf", data)
	for name, text := range files {
		p.put(name, text)
	}
	p.put("prometheus.yml", configuration)
	l.docker("exec", "-d", "-w", prometheusDir, p.node.Name, "sh", "-c", "exec ./prometheus --config.file=prometheus.yml --storage.tsdb.path="+data+
		" --web.listen-address="+prometheusAddress+" >log 2>&1")
	l.WaitFor("Prometheus to be ready", patience, func(ctx context.Context) error {
		_, err := l.TryOnNode(ctx, p.node, "curl", "-sSf", "-m", "5", "http://"+prometheusAddress+"/-/ready")
		if err != nil {
			log, _ := l.TryOnNode(ctx, p.node, "tail", "-n", "3", path.Join(prometheusDir, "log"))
			return fmt.Errorf("%w; it says %s", err, log)
		}
		return nil
	})
}

// put writes a file of the server's, whole at once.
func (p *Prometheus) put(name, text string) {
	if err := p.write(name, text); err != nil {
		p.lab.t.Fatal(err)
	}
}

func (p *Prometheus) write(name, text string) error {
	file, err := os.CreateTemp("", filepath.Base(name))
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.WriteString(text)
	if err := errors.Join(err, file.Chmod(0o644), file.Close()); err != nil {
		return err
	}
	target := path.Join(prometheusDir, name)
	if _, err := run(context.Background(), "docker", "cp", "-q", file.Name(), p.node.Name+":"+target+".new"); err != nil {
		return err
	}
	_, err = p.lab.TryOnNode(context.Background(), p.node, "mv", target+".new", target)
	return err
}

// discover lists the pods. While the API server does not answer the last list holds.
func (p *Prometheus) discover(ctx context.Context) {
	list, err := p.lab.Clientset.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return
	}
	text, err := json.Marshal(targetsOf(list.Items))
	if err == nil {
		err = p.write(path.Base(p.Targets), string(text))
	}
	if err != nil && ctx.Err() == nil {
		p.lab.t.Logf("the pods are not discovered: %v", err)
	}
}

// targetGroup is what Prometheus reads from a file.
type targetGroup struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// targetsOf returns a target for each port of each container, and one for a container without any, as Prometheus' discovery of the
// role pod does.
func targetsOf(pods []corev1.Pod) []targetGroup {
	groups := []targetGroup{}
	for i := range pods {
		pod := &pods[i]
		if pod.Status.PodIP == "" {
			continue
		}
		for _, c := range pod.Spec.Containers {
			if len(c.Ports) == 0 {
				host := pod.Status.PodIP
				if strings.Contains(host, ":") {
					host = "[" + host + "]"
				}
				groups = append(groups, targetGroup{[]string{host}, labelsOf(pod, c)})
			}
			for _, port := range c.Ports {
				labels := labelsOf(pod, c)
				number := fmt.Sprint(port.ContainerPort)
				labels["__meta_kubernetes_pod_container_port_name"] = port.Name
				labels["__meta_kubernetes_pod_container_port_number"] = number
				labels["__meta_kubernetes_pod_container_port_protocol"] = string(port.Protocol)
				groups = append(groups, targetGroup{[]string{net.JoinHostPort(pod.Status.PodIP, number)}, labels})
			}
		}
	}
	slices.SortStableFunc(groups, func(a, b targetGroup) int { return strings.Compare(a.Targets[0], b.Targets[0]) })
	return groups
}

var notInLabels = regexp.MustCompile(`[^a-zA-Z0-9_]`)

func labelsOf(pod *corev1.Pod, c corev1.Container) map[string]string {
	const prefix = "__meta_kubernetes_pod_"
	ready := "false"
	if slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	}) {
		ready = "true"
	}
	labels := map[string]string{
		"__meta_kubernetes_namespace": pod.Namespace, prefix + "name": pod.Name, prefix + "ip": pod.Status.PodIP,
		prefix + "host_ip": pod.Status.HostIP, prefix + "node_name": pod.Spec.NodeName, prefix + "uid": string(pod.UID), prefix + "ready": ready,
		prefix + "phase": string(pod.Status.Phase), prefix + "container_name": c.Name, prefix + "container_image": c.Image,
	}
	for kind, of := range map[string]map[string]string{"label": pod.Labels, "annotation": pod.Annotations} {
		for name, value := range of {
			name = notInLabels.ReplaceAllString(name, "_")
			labels[prefix+kind+"_"+name] = value
			labels[prefix+kind+"present_"+name] = "true"
		}
	}
	return labels
}

// get reads an answer of the server's API.
func (p *Prometheus) get(ctx context.Context, query string, into any) error {
	output, err := p.lab.TryOnNode(ctx, p.node, "curl", "-sS", "-m", "10", "-g", "http://"+prometheusAddress+"/api/v1/"+query)
	if err != nil {
		return err
	}
	answer := struct {
		Status, Error string
		Data          any
	}{Data: into}
	if err := json.Unmarshal([]byte(output), &answer); err != nil {
		return fmt.Errorf("%s: %w: %s", query, err, output)
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: %s", query, answer.Error)
	}
	return nil
}

// Target is what the server scrapes.
type Target struct {
	Labels    map[string]string
	Health    string
	LastError string
}

// ActiveTargets returns what is scraped.
func (p *Prometheus) ActiveTargets(ctx context.Context) ([]Target, error) {
	var answer struct{ ActiveTargets []Target }
	err := p.get(ctx, "targets?state=active", &answer)
	return answer.ActiveTargets, err
}

// Alert is one that is pending or firing.
type Alert struct {
	Labels map[string]string
	State  string
}

// Alerts returns those that are pending or firing.
func (p *Prometheus) Alerts(ctx context.Context) ([]Alert, error) {
	var answer struct{ Alerts []Alert }
	err := p.get(ctx, "alerts", &answer)
	return answer.Alerts, err
}

// Query returns the values that an expression has now, as text.
func (p *Prometheus) Query(ctx context.Context, expression string) ([]string, error) {
	var answer struct {
		Result []struct{ Value [2]any }
	}
	if err := p.get(ctx, "query?query="+url.QueryEscape(expression), &answer); err != nil {
		return nil, err
	}
	var values []string
	for _, r := range answer.Result {
		values = append(values, fmt.Sprint(r.Value[1]))
	}
	return values, nil
}
