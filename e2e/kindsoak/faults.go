package kindsoak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanlord/lanlord/e2e/fault"
	"github.com/lanlord/lanlord/e2e/lab"
	"github.com/lanlord/lanlord/e2e/soak"
)

// mostAway is the longest time in which a kubelet may leave the API server dead.
const mostAway = 30 * time.Second

// action begins a fault at a node, and returns a function that ends the fault. A fault without a node of its own gets the
// control plane. An action repeats a request to the API server until an answer comes, because another fault may stop the
// API server.
type action func(ctx context.Context, s *site, f soak.Fault, node lab.Node) (end func() error, err error)

// Begin implements [soak.Site].
func (s *site) Begin(ctx context.Context, f soak.Fault) (func() error, error) {
	node := s.control
	if f.Node >= 0 {
		node = s.workers[f.Node]
	}
	rule := rules().Of(f.Kind)
	for i := range s.known {
		if rule.Has(fault.Everywhere) || rule.Scope == fault.Process && i == f.Node {
			s.known[i] = 0
		}
	}
	end, err := actions()[f.Kind](ctx, s, f, node)
	return func() error {
		if err := end(); err != nil {
			return fmt.Errorf("end of %s: %w", f.Kind, err)
		}
		return nil
	}, err
}

// actions returns the action of each fault of the catalogue on a kind cluster.
func actions() map[fault.Kind]action {
	return map[fault.Kind]action{
		"node-pause":   inDocker([]string{"pause"}, []string{"unpause"}),
		"crash":        inDocker([]string{"kill"}, []string{"start"}),
		"node-network": disconnect,
		"both":         cut,
		"kill": func(ctx context.Context, s *site, _ soak.Fault, node lab.Node) (func() error, error) {
			return s.another(ctx, node), s.signal("speaker", node, syscall.SIGKILL)
		},
		"pause": func(ctx context.Context, s *site, _ soak.Fault, node lab.Node) (func() error, error) {
			back := s.back(ctx, node)
			return func() error { return errors.Join(s.signal("speaker", node, syscall.SIGCONT), back()) },
				s.signal("speaker", node, syscall.SIGSTOP)
		},
		"stop": func(ctx context.Context, s *site, _ soak.Fault, node lab.Node) (func() error, error) {
			return s.another(ctx, node), s.deletePods(ctx, "component=speaker", "spec.nodeName="+node.Name)
		},
		"rollout":     rollout("daemonset/speaker"),
		"drain":       drain,
		"api-node":    cutFromAPI,
		"api-restart": killAPI,
		"keys": func(ctx context.Context, s *site, f soak.Fault, _ lab.Node) (func() error, error) {
			return soak.ExchangeKeys(ctx, s.Seed, f, s.keys)
		},
		"config":             configure(pools.edits),
		"config-bad":         configure(pools.breakages),
		"controller-rollout": rollout("deployment/controller"),
		"controller-kill": func(ctx context.Context, s *site, _ soak.Fault, _ lab.Node) (func() error, error) {
			var err error
			for _, node := range s.nodes {
				err = errors.Join(err, s.signal("controller", node, syscall.SIGKILL))
			}
			return s.controllerBack(ctx), err
		},
		"controller-stop": func(ctx context.Context, s *site, _ soak.Fault, _ lab.Node) (func() error, error) {
			return s.controllerBack(ctx), s.deletePods(ctx, "component=controller", "")
		},
	}
}

// back waits until a node and its speaker are ready.
func (s *site) back(ctx context.Context, node lab.Node) func() error {
	return func() error {
		ctx := context.WithoutCancel(ctx)
		return until(ctx, func(ctx context.Context) error {
			return errors.Join(s.cluster.Ready(ctx, node), s.speakerReady(ctx, node))
		})
	}
}

// another waits until a node has another speaker than now, which is ready.
func (s *site) another(ctx context.Context, node lab.Node) func() error {
	old, back := find("speaker", s.ids[node.Name]), s.back(ctx, node)
	return func() error {
		err := until(context.WithoutCancel(ctx), func(context.Context) error {
			if pid := s.one("speaker", node); pid == 0 || slices.Contains(old, pid) {
				return fmt.Errorf("no other speaker than %d on %s", old, node.Name)
			}
			return nil
		})
		if err != nil {
			return err
		}
		return back()
	}
}

func (s *site) controllerBack(ctx context.Context) func() error {
	return func() error {
		return until(context.WithoutCancel(ctx), func(ctx context.Context) error {
			_, err := s.controllerPod(ctx)
			return err
		})
	}
}

// inDocker does something to a node's container, and something else in the end.
func inDocker(first, last []string) action {
	return func(ctx context.Context, s *site, _ soak.Fault, node lab.Node) (func() error, error) {
		_, err := s.cluster.Docker(ctx, append(first, node.Name)...)
		back := s.back(ctx, node)
		return func() error {
			ctx := context.WithoutCancel(ctx)
			if _, err := s.cluster.Docker(ctx, append(last, node.Name)...); err != nil {
				return err
			}
			if err := s.cluster.SameAddresses(ctx, node); err != nil {
				return err
			}
			return back()
		}, err
	}
}

func disconnect(ctx context.Context, s *site, _ soak.Fault, node lab.Node) (func() error, error) {
	back := s.back(ctx, node)
	return func() error {
		if err := s.cluster.Connect(context.WithoutCancel(ctx), node); err != nil {
			return err
		}
		return back()
	}, s.cluster.Disconnect(ctx, node)
}

func cut(ctx context.Context, s *site, _ soak.Fault, node lab.Node) (func() error, error) {
	back := s.back(ctx, node)
	return func() error {
		if err := s.cluster.SetPort(context.WithoutCancel(ctx), node, "master", lab.BridgeName); err != nil {
			return err
		}
		return back()
	}, s.cluster.SetPort(ctx, node, "nomaster")
}

// rollout exchanges all pods of a workload, and waits for it in the end.
func rollout(what string) action {
	return func(ctx context.Context, s *site, _ soak.Fault, _ lab.Node) (func() error, error) {
		end := func() error {
			return s.kubectl(context.WithoutCancel(ctx), "-n", systemNamespace, "rollout", "status", what, "--timeout", "100s")
		}
		return end, s.kubectl(ctx, "-n", systemNamespace, "rollout", "restart", what)
	}
}

// kubectl runs it until it succeeds.
func (s *site) kubectl(ctx context.Context, args ...string) error {
	return until(ctx, func(ctx context.Context) error {
		_, err := s.cluster.Kubectl(ctx, args...)
		return err
	})
}

// deletePods deletes those of Lanlord's pods that selectors match.
func (s *site) deletePods(ctx context.Context, labels, fields string) error {
	return until(ctx, func(ctx context.Context) error {
		return s.cluster.Clientset.CoreV1().Pods(systemNamespace).DeleteCollection(ctx, metav1.DeleteOptions{},
			metav1.ListOptions{LabelSelector: labels, FieldSelector: fields})
	})
}

func drain(ctx context.Context, s *site, _ soak.Fault, node lab.Node) (func() error, error) {
	back := s.controllerBack(ctx)
	end := func() error {
		return errors.Join(s.kubectl(context.WithoutCancel(ctx), "uncordon", node.Name), back())
	}
	return end, s.kubectl(ctx, "drain", node.Name, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout", "60s")
}

// cutFromAPI drops what the API server's address and a node say to each other about port 6443.
func cutFromAPI(ctx context.Context, s *site, _ soak.Fault, node lab.Node) (func() error, error) {
	back := s.back(ctx, node)
	tables := func(ctx context.Context, word string) error {
		var script strings.Builder
		for program, addr := range map[string]string{"iptables": s.control.IPv4.String(), "ip6tables": s.control.IPv6.String()} {
			fmt.Fprintf(&script, "%s -w %s OUTPUT -d %s -p tcp --dport 6443 -j DROP\n", program, word, addr)
			fmt.Fprintf(&script, "%s -w %s INPUT -s %s -p tcp --sport 6443 -j DROP\n", program, word, addr)
		}
		_, err := s.cluster.Docker(ctx, "exec", node.Name, "sh", "-ec", script.String())
		return err
	}
	return func() error {
		if err := tables(context.WithoutCancel(ctx), "-D"); err != nil {
			return err
		}
		return back()
	}, tables(ctx, "-I")
}

// killAPI kills the API server, and waits until the kubelet has started it again, and what ends with it. A kubelet waits longer each time, up
// to five minutes; one that was started anew itself does not, so that hours of a soak are not spent without an API server.
func killAPI(ctx context.Context, s *site, _ soak.Fault, _ lab.Node) (func() error, error) {
	end := func() error {
		ctx := context.WithoutCancel(ctx)
		soon, cancel := context.WithTimeout(ctx, mostAway)
		defer cancel()
		if until(soon, s.controlled) == nil {
			return nil
		}
		if _, err := s.cluster.Docker(ctx, "exec", s.control.Name, "systemctl", "restart", "kubelet"); err != nil {
			return err
		}
		return until(ctx, s.controlled)
	}
	return end, s.signal("kube-apiserver", s.control, syscall.SIGKILL)
}

// controlled returns an error unless the control plane works.
func (s *site) controlled(ctx context.Context) error {
	err := s.cluster.Clientset.CoreV1().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	// These end when they cannot renew their Leases.
	for name, port := range map[string]int{"kube-controller-manager": 10257, "kube-scheduler": 10259} {
		if err == nil {
			if _, failed := s.page(ctx, s.control, fmt.Sprintf("https://127.0.0.1:%d/healthz", port)); failed != nil {
				err = fmt.Errorf("%s: %w", name, failed)
			}
		}
	}
	return err
}

func (s *site) random(f soak.Fault) *rand.Rand { return rand.New(rand.NewPCG(s.Seed, uint64(f.At))) }

// keys changes the entries of the gossip Secret.
func (s *site) keys(ctx context.Context, change func(map[string][]byte)) error {
	return until(ctx, func(ctx context.Context) error {
		secrets := s.cluster.Clientset.CoreV1().Secrets(systemNamespace)
		secret, err := secrets.Get(ctx, "lanlord-gossip", metav1.GetOptions{})
		if err != nil {
			return err
		}
		change(secret.Data)
		_, err = secrets.Update(ctx, secret, metav1.UpdateOptions{})
		return err
	})
}

// configure writes one of these configurations, and the usual one in the end.
func configure(choice func(pools) []string) action {
	return func(ctx context.Context, s *site, f soak.Fault, _ lab.Node) (func() error, error) {
		texts := choice(s.pools)
		return func() error { return s.configure(context.WithoutCancel(ctx), s.pools.configuration("", "")) },
			s.configure(ctx, texts[s.random(f).IntN(len(texts))])
	}
}

// configure writes the ConfigMap.
func (s *site) configure(ctx context.Context, text string) error {
	m := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: "config"}, Data: map[string]string{"config": text},
	}
	return until(ctx, func(ctx context.Context) error {
		maps := s.cluster.Clientset.CoreV1().ConfigMaps(systemNamespace)
		_, err := maps.Update(ctx, m, metav1.UpdateOptions{})
		if err != nil {
			_, err = maps.Create(ctx, m, metav1.CreateOptions{})
		}
		return err
	})
}

// manifest is the file that installs Lanlord.
func (s *site) manifest() string { return filepath.Join(s.deploy, "install.yaml") }
