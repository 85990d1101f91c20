package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanlord/lanlord/e2e/lab"
)

// netRaw is CAP_NET_RAW as /proc shows a set of capabilities.
const netRaw = "0000000000002000"

// TestProcessesAreConfined looks at what the kernel lets both daemons do, and at what else there is to run: nothing. Package privilege does the same for the API server.
func TestProcessesAreConfined(t *testing.T) {
	l := lab.Open(t)
	in := install(t, l, l.FreeAddresses(lab.IPv4, 1)...)
	speakers, controllers := 0, 0
	for _, node := range in.Nodes() {
		for _, process := range in.processes(node) {
			want := map[string]string{"NoNewPrivs": "1", "Seccomp": "2", "CapEff": netRaw, "CapPrm": netRaw, "CapBnd": netRaw, "Uid": "0"}
			if process["program"] == "/controller" {
				none := strings.Repeat("0", len(netRaw))
				want["CapEff"], want["CapPrm"], want["CapBnd"], want["Uid"] = none, none, none, "65534"
				controllers++
			} else {
				speakers++
			}
			for key, value := range want {
				if process[key] != value {
					t.Errorf("%s on %s: %s is %q, want %q", process["program"], node.Name, key, process[key], value)
				}
			}
		}
	}
	for _, node := range in.Nodes() {
		// What the container was given at its start is below these.
		files := in.ExecOnNode(node, "sh", "-c", `cd /proc/$(pgrep -xo speaker)/root && find . -type f -not -path './proc/*' -not -path './sys/*' `+
			`-not -path './dev/*' -not -path './etc/*' -not -path './var/run/*' -not -path './run/*' | sort`)
		if files != "./controller\n./speaker\n" {
			t.Errorf("the image on %s holds\n%s", node.Name, files)
		}
	}
	if speakers != len(in.Nodes()) || controllers != 1 {
		t.Errorf("%d speakers and %d controllers were found", speakers, controllers)
	}
}

// processes returns what /proc says of Lanlord's processes on a node, and their programs.
func (in *installation) processes(node lab.Node) []map[string]string {
	in.t.Helper()
	text := in.ExecOnNode(node, "sh", "-c", `for p in /proc/[0-9]*; do
  program=$(tr '\0' '\n' 2>/dev/null <$p/cmdline | head -n 1)
  case $program in /speaker|/controller) echo "program: $program"; cat $p/status;; esac
done`)
	var all []map[string]string
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(line, ":")
		fields := strings.Fields(value)
		if len(fields) == 0 {
			continue
		}
		if key == "program" {
			all = append(all, map[string]string{})
		}
		all[len(all)-1][key] = fields[0]
	}
	return all
}

// TestNoPrivilegeOfTheSpeakerIsSuperfluous takes away in turn what lets the speaker reach its node's LAN. The new speaker says
// what it lacks and does not become ready, so the update stops at the first node, and nothing is lost.
func TestNoPrivilegeOfTheSpeakerIsSuperfluous(t *testing.T) {
	in, addr, _ := exposed(t, lab.IPv4)
	load := in.startLoad([]netip.Addr{addr})
	const container = "/spec/template/spec/containers/0/securityContext"
	for _, privilege := range []struct{ name, patch, says string }{
		{"CAP_NET_RAW", `{"op": "remove", "path": "` + container + `/capabilities/add"}`, "capability NET_RAW"},
		{"user 0", `{"op": "replace", "path": "` + container + `/runAsUser", "value": 65534}`, "address already in use"}, // which only the same user shares
		{"the host's network", `{"op": "remove", "path": "/spec/template/spec/hostNetwork"}`, "cannot assign requested address"},
	} {
		in.MustKubectl("-n", systemNamespace, "patch", "daemonset", "speaker", "--type=json", "-p", "["+privilege.patch+"]")
		took := in.WaitFor("a speaker that lacks "+privilege.name, patience, func(ctx context.Context) error { return in.unready(ctx, privilege.says) })
		t.Logf("without %s: told after %v", privilege.name, took)
		in.MustKubectl("-n", systemNamespace, "rollout", "undo", "daemonset/speaker")
		in.rolledOut()
	}

	in.MustKubectl("label", "namespace", systemNamespace, "--overwrite", "pod-security.kubernetes.io/enforce=baseline")
	in.MustKubectl("-n", systemNamespace, "rollout", "restart", "daemonset/speaker")
	in.waitForEvent(systemNamespace, "DaemonSet", "speaker", "FailedCreate", "violates PodSecurity", "NET_RAW", "hostNetwork")
	in.MustKubectl("label", "namespace", systemNamespace, "--overwrite", "pod-security.kubernetes.io/enforce=privileged")
	in.MustKubectl("-n", systemNamespace, "rollout", "undo", "daemonset/speaker")
	in.rolledOut()
	load.stop()
	load.checkUndisturbed()
	load.checkSameOwners()
}

// unready returns nil if exactly one speaker is not ready, and says so in its log.
func (in *installation) unready(ctx context.Context, says string) error {
	pods := in.Clientset.CoreV1().Pods(systemNamespace)
	list, err := pods.List(ctx, metav1.ListOptions{LabelSelector: "component=speaker"})
	if err != nil {
		return err
	}
	var waiting []string
	for _, pod := range list.Items {
		if !isReady(&pod) && pod.DeletionTimestamp == nil {
			waiting = append(waiting, pod.Name)
		}
	}
	if len(waiting) != 1 {
		return fmt.Errorf("%d speakers are not ready: %v", len(waiting), waiting)
	}
	for _, previous := range []bool{false, true} {
		text, err := pods.GetLogs(waiting[0], &corev1.PodLogOptions{Previous: previous}).DoRaw(ctx)
		if err == nil && strings.Contains(string(text), says) {
			return nil
		}
	}
	return errors.New(waiting[0] + " does not say " + says)
}
