package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// traceFilter is what the client records: who claims which address, and the traffic.
const traceFilter = "arp or icmp6 or tcp port 80"

// recordUntilEnd empties the client's neighbour table, since a test must not live on
// what an earlier one learned, and records its wire until the test ends. If the test
// fails, everything that explains it is saved.
func (l *Lab) recordUntilEnd() {
	l.t.Helper()
	l.MustExec("ip", "neigh", "flush", "all")
	trace := "/tmp/" + l.fileName() + ".pcap"
	// -U: what was seen is on disk, whatever happens to the recorder. The size is bounded.
	l.docker("exec", "-d", ClientName, "tcpdump", "-i", "eth0", "-U", "-s", "200", "-c", "2000000", "-w", trace, traceFilter)
	l.t.Cleanup(func() {
		l.t.Helper()
		l.explain()
		_, _ = l.Exec("pkill", "-INT", "-f", trace) // it may have ended by itself
		_, _ = l.Exec("rm", "-f", trace)
	})
	l.trace = trace
}

// explain saves what explains a failure, if there is one that it was not called for before. Whatever takes away what a test has made calls
// it first.
func (l *Lab) explain() {
	l.t.Helper()
	if l.t.Failed() && !*l.explained {
		*l.explained = true
		l.collect(l.trace)
	}
}

// fileName is the test's name as part of a path.
func (l *Lab) fileName() string {
	return strings.NewReplacer("/", "_", " ", "_").Replace(l.t.Name())
}

// Keep saves what is in a folder if the test fails.
func (l *Lab) Keep(dir string) {
	l.t.Helper()
	l.t.Cleanup(func() {
		l.t.Helper()
		if !l.t.Failed() {
			return
		}
		target := l.failureDir() + "-more"
		if err := os.CopyFS(target, os.DirFS(dir)); err != nil {
			l.t.Logf("not all of %s could be saved: %v", dir, err)
		}
		l.t.Logf("saved: %s", target)
	})
}

func (l *Lab) failureDir() string {
	return filepath.Join(l.runDir, "failures", l.fileName()+"-"+time.Now().Format("20060102-150405"))
}

// collect saves what explains a failure. What cannot be had is logged and left out.
func (l *Lab) collect(trace string) {
	l.t.Helper()
	dir := l.failureDir()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		l.t.Log(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := errors.Join(
		l.collectPods(ctx, dir),
		l.collectObjects(ctx, dir),
		l.collectDocker(ctx, dir, trace),
	)
	if err != nil {
		l.t.Logf("not all of the state could be saved: %v", err)
	}
	l.t.Logf("state at the failure: %s", dir)
}

// collectPods saves the logs of all containers, and of those before a restart.
func (l *Lab) collectPods(ctx context.Context, dir string) error {
	pods, err := l.Clientset.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var failures []error
	for _, pod := range pods.Items {
		for _, status := range pod.Status.ContainerStatuses {
			name := fmt.Sprintf("%s_%s_%s", pod.Namespace, pod.Name, status.Name)
			failures = append(failures, l.collectLog(ctx, &pod, status.Name, false, filepath.Join(dir, name+".log")))
			if status.RestartCount > 0 {
				failures = append(failures, l.collectLog(ctx, &pod, status.Name, true, filepath.Join(dir, name+".previous.log")))
			}
		}
	}
	return errors.Join(failures...)
}

func (l *Lab) collectLog(ctx context.Context, pod *corev1.Pod, container string, previous bool, path string) error {
	// The kubelet of a dead node does not answer, and would not soon.
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	options := &corev1.PodLogOptions{Container: container, Previous: previous, Timestamps: true}
	text, err := l.Clientset.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, options).DoRaw(ctx)
	if err != nil {
		return fmt.Errorf("logs of %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return os.WriteFile(path, text, 0o644)
}

// collectObjects saves what the API server holds about the services of the cluster.
func (l *Lab) collectObjects(ctx context.Context, dir string) error {
	all := metav1.ListOptions{}
	core := l.Clientset.CoreV1()
	return errors.Join(
		save(dir, "events.yaml")(core.Events("").List(ctx, all)),
		save(dir, "configmaps.yaml")(core.ConfigMaps("").List(ctx, all)),
		save(dir, "services.yaml")(core.Services("").List(ctx, all)),
		save(dir, "endpointslices.yaml")(l.Clientset.DiscoveryV1().EndpointSlices("").List(ctx, all)),
		save(dir, "pods.yaml")(core.Pods("").List(ctx, all)),
		save(dir, "nodes.yaml")(core.Nodes().List(ctx, all)),
	)
}

// save returns a function that writes what an API call returned.
func save(dir, name string) func(object any, err error) error {
	return func(object any, err error) error {
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		text, err := yaml.Marshal(object)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name), text, 0o644)
	}
}

// collectDocker saves the neighbour tables, the nodes' logs and the recorded wire.
func (l *Lab) collectDocker(ctx context.Context, dir, trace string) error {
	failures := []error{
		saveOutput(ctx, dir, "client-ip-neigh.txt", "docker", "exec", ClientName, "ip", "neigh"),
		saveOutput(ctx, dir, "host-ip-neigh.txt", "ip", "neigh"),
		saveOutput(ctx, dir, "docker-network.json", "docker", "network", "inspect", NetworkName),
		saveOutput(ctx, dir, "wire.pcap", "docker", "exec", ClientName, "cat", trace),
	}
	running, err := nodes(ctx)
	failures = append(failures, err)
	for _, node := range running {
		failures = append(failures,
			saveOutput(ctx, dir, node.Name+"-docker.log", "docker", "logs", node.Name),
			saveOutput(ctx, dir, node.Name+"-ip-neigh.txt", "docker", "exec", node.Name, "ip", "neigh"),
			saveOutput(ctx, dir, node.Name+"-journal.log", "docker", "exec", node.Name, "journalctl", "--no-pager", "-n", "2000"))
	}
	return errors.Join(failures...)
}

func saveOutput(ctx context.Context, dir, name, program string, args ...string) error {
	output, err := run(ctx, program, args...)
	return errors.Join(err, os.WriteFile(filepath.Join(dir, name), []byte(output), 0o644))
}
