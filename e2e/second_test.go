package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanlord/lanlord/e2e/lab"
)

const (
	second          = "../deploy/second"
	secondNamespace = "lanlord-second"
)

// TestTwoInstallations installs a second Lanlord with the ports of the first one: its speakers wait and say so, and the plugin
// names both. With ports of its own the second one works, beside the first one.
func TestTwoInstallations(t *testing.T) {
	l := lab.Open(t)
	free := l.FreeAddresses(lab.IPv4, 2)
	in := install(t, l, free[0])
	in.waitForPlugin(1, "doctor --pre --lanlord-namespace "+secondNamespace,
		"the speakers of the Lanlord metallb-system/speaker use 7572 (--listen), 7573 (--status-listen), 7950 (--gossip-port)")

	file := filepath.Join(t.TempDir(), "second.yaml")
	same := strings.NewReplacer("7582", "7572", "7583", "7573").Replace(l.MustKubectl("kustomize", second))
	if err := os.WriteFile(file, []byte(same), 0o600); err != nil {
		t.Fatal(err)
	}
	l.Apply("-f", file)
	in.waitForPortEvent("Startup probe failed", "the Lanlord in the namespace metallb-system uses ", ":7572")
	in.waitForPlugin(1, "doctor --lanlord-namespace "+secondNamespace, "the speakers of metallb-system/speaker use the same ports on lanlord-",
		": 7572 (--listen), 7573 (--status-listen); on each node ")
	in.waitForPods()

	l.MustKubectl("apply", "-k", second)
	config := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(config, []byte(pool(free[1])), 0o600); err != nil {
		t.Fatal(err)
	}
	l.MustKubectl("-n", secondNamespace, "create", "configmap", "config", "--from-file=config="+config)
	in.rolledOutIn(secondNamespace)
	in.waitForPlugin(1, "doctor --lanlord-namespace "+secondNamespace, "no other Lanlord uses the ports of the speakers")
	in.waitForPods()
}

// waitForPortEvent waits for an Event about a Pod of the second installation that has all of the texts.
func (in *installation) waitForPortEvent(texts ...string) {
	in.t.Helper()
	in.WaitFor(fmt.Sprintf("an Event with %q", texts), patience, func(ctx context.Context) error {
		list, err := in.Clientset.CoreV1().Events(secondNamespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		var seen []string
		for _, e := range list.Items {
			missing := ""
			for _, text := range texts {
				if !strings.Contains(e.Message, text) {
					missing = text
				}
			}
			if missing == "" {
				return nil
			}
			seen = append(seen, e.Reason+": "+e.Message)
		}
		return fmt.Errorf("the Events are %q", seen)
	})
}
