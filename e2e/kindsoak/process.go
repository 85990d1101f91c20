package kindsoak

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanlord/lanlord/e2e/fault"
	"github.com/lanlord/lanlord/e2e/lab"
	"github.com/lanlord/lanlord/e2e/soak"
)

// processOf is the first process of a container.
func (s *site) processOf(ctx context.Context, container string) (int, error) {
	output, err := s.cluster.Docker(ctx, "inspect", "--format", "{{.State.Pid}}", container)
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(output))
	if err == nil && pid == 0 {
		err = fmt.Errorf("%s does not run", container)
	}
	return pid, err
}

// find returns the processes of a program in the container of a node, as the host knows them.
func find(program, container string) (pids []int) {
	paths, _ := filepath.Glob("/proc/[0-9]*/comm") // the pattern is a good one
	for _, path := range paths {
		name, err := os.ReadFile(path)
		if err != nil || strings.TrimSpace(string(name)) != program {
			continue
		}
		cgroup, err := os.ReadFile(filepath.Join(filepath.Dir(path), "cgroup"))
		if err != nil || !strings.Contains(string(cgroup), container) {
			continue
		}
		// The kubelet's probes of a speaker are the same program. Who has no arguments yet, or no longer, is about to begin or has ended.
		line, err := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		if err != nil || len(line) == 0 || strings.Contains(string(line), "\x00probe\x00") {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// one is the process of a program on a node, 0 if there are none or several, as while one follows another.
func (s *site) one(program string, node lab.Node) int {
	if pids := find(program, s.ids[node.Name]); len(pids) == 1 {
		return pids[0]
	}
	return 0
}

// signal sends a signal to the process of a program on a node. That it has ended meanwhile is no error.
func (s *site) signal(program string, node lab.Node, sig syscall.Signal) error {
	for _, pid := range find(program, s.ids[node.Name]) {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("%s on %s: %w", program, node.Name, err)
		}
	}
	return nil
}

// page returns what is served on a node under a URL.
func (s *site) page(ctx context.Context, node lab.Node, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return s.cluster.Docker(ctx, "exec", node.Name, "curl", "-sfgk", "-m", "5", url)
}

const monitoring = "http://127.0.0.1:7572"

// speakerReady returns an error unless a node's only speaker says that it is ready.
func (s *site) speakerReady(ctx context.Context, node lab.Node) error {
	if s.one("speaker", node) == 0 {
		return fmt.Errorf("%s has not one speaker", node.Name)
	}
	_, err := s.page(ctx, node, monitoring+"/readyz")
	return err
}

// controllerPod is the only one that is not about to go, and ready.
func (s *site) controllerPod(ctx context.Context) (*corev1.Pod, error) {
	list, err := s.cluster.Clientset.CoreV1().Pods(systemNamespace).List(ctx, metav1.ListOptions{LabelSelector: "component=controller"})
	if err != nil {
		return nil, err
	}
	for _, pod := range list.Items {
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue && pod.DeletionTimestamp == nil {
				return &pod, nil
			}
		}
	}
	return nil, fmt.Errorf("none of %d controllers is ready", len(list.Items))
}

// Sample implements [soak.Site].
func (s *site) Sample(ctx context.Context) {
	sample := func(node lab.Node) {
		if pid := s.one("speaker", node); pid != 0 {
			s.Measure(ctx, node.Name, pid, func(ctx context.Context) (string, error) { return s.page(ctx, node, monitoring+"/metrics") })
		}
	}
	for i, node := range s.workers {
		_ = s.Unhindered(i, func() error { sample(node); return nil })
	}
	_ = s.WithoutFault(fault.Cluster, func() error { sample(s.control); return nil })
	_ = s.WithoutFault(fault.Controller, func() error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		pod, err := s.controllerPod(ctx)
		if err != nil {
			return nil // it may be on a node that is away
		}
		s.judgeEnds(pod)
		for _, node := range s.nodes {
			if pid := s.one("controller", node); node.Name == pod.Spec.NodeName && pid != 0 {
				url := "http://" + pod.Status.PodIP + ":7572/metrics"
				s.Measure(ctx, "controller", pid, func(ctx context.Context) (string, error) { return s.page(ctx, s.control, url) })
			}
		}
		return nil
	})
}

// judgeEnds looks how the container of a controller ended that the kubelet has started again. Faults kill it, and it may lose its Lease when
// it cannot reach the API server, and then has to end.
func (s *site) judgeEnds(pod *corev1.Pod) {
	const panicked = 2
	for _, c := range pod.Status.ContainerStatuses {
		last := c.LastTerminationState.Terminated
		if last == nil || s.ended[last.ContainerID] {
			continue
		}
		s.ended[last.ContainerID] = true
		switch {
		case last.ExitCode == panicked || last.Reason == "OOMKilled":
			s.Violate(last.FinishedAt.Time, fmt.Sprintf("the controller in %s ended by itself: %s, code %d: %s", pod.Name, last.Reason, last.ExitCode, last.Message))
		case last.ExitCode == 1:
			s.Count(func(p *soak.Report) { p.Lost++ })
		}
	}
}

// Supervise implements [soak.Site]. The kubelets start again who ends by itself; that it does is a violation.
func (s *site) Supervise(context.Context) error {
	look := func(i int, node lab.Node) error {
		pids, was := find("speaker", s.ids[node.Name]), s.known[i]
		if slices.Contains(pids, was) {
			return nil
		}
		if was != 0 {
			s.Violate(time.Now(), fmt.Sprintf("the speaker of %s, process %d, ended by itself; now there are %d", node.Name, was, pids))
		}
		if s.known[i] = 0; len(pids) == 1 {
			s.known[i] = pids[0]
		}
		return nil
	}
	for i, node := range s.workers {
		_ = s.Unhindered(i, func() error { return look(i, node) }) // there is no error
	}
	return s.WithoutFault(fault.Cluster, func() error { return look(len(s.workers), s.control) })
}

// Speakers implements [soak.Site].
func (s *site) Speakers() (pids []int) {
	for i := range s.workers {
		_ = s.Unhindered(i, func() error { // there is no error
			if pid := s.known[i]; pid != 0 {
				pids = append(pids, pid)
			}
			return nil
		})
	}
	return pids
}
