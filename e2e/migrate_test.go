package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/lanlord/lanlord/e2e/lab"
)

// darkest is the longest time for which requests may go unanswered in a switch: that of a planned move whose client has to ask
// for the address again.
const darkest = time.Second

// publishedImage is how a manifest of MetalLB names an image, wherever that is published.
var publishedImage = regexp.MustCompile(`"image":"[^"]*/metallb/`)

// metalLB builds MetalLB of a module in metallb/, brings it to the nodes, and returns the folder with its own manifests and the
// names of its images.
func metalLB(t *testing.T, version string) (dir string, images []string) {
	t.Helper()
	output := command(t, "./images.sh", "metallb", version)
	lines := strings.Fields(output)
	dir, images = lines[len(lines)-1], lines[:len(lines)-1]
	command(t, "./cluster.sh", append([]string{"load"}, images...)...)
	return dir, images
}

// command runs a program of this folder and returns what it printed.
func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c := exec.Command(name, args...)
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String()
}

// manifestFor writes MetalLB's own manifests for this cluster: with the images that were built, and without the kinds that the
// API server no longer has. It returns the file.
func manifestFor(t *testing.T, files ...string) string {
	t.Helper()
	var out bytes.Buffer
	for _, file := range files {
		in, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(in), 1<<16)
		for {
			var object unstructured.Unstructured
			if err := documents.Decode(&object.Object); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			if object.Object == nil || object.GetAPIVersion() == "policy/v1beta1" {
				continue
			}
			text, err := object.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&out, "---\n%s\n", publishedImage.ReplaceAll(text, []byte(`"image":"lanlord-e2e/metallb-`)))
		}
	}
	file := filepath.Join(t.TempDir(), "metallb.yaml")
	if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestMigrateFromMetalLB follows docs/migrate-from-metallb.md with MetalLB v0.12.1 itself, there and back. The Services keep
// their addresses all the time, and are dark no longer than in a planned move.
func TestMigrateFromMetalLB(t *testing.T) {
	dir, _ := metalLB(t, "v0.12")
	l := lab.Open(t)
	file := manifestFor(t, filepath.Join(dir, "manifests", "namespace.yaml"), filepath.Join(dir, "manifests", "metallb.yaml"))
	free := l.FreeAddresses(lab.IPv4, 5)
	in := &installation{Lab: l, t: t}
	l.Apply("-f", file)
	t.Cleanup(in.deleteClusterRoles)
	in.configure(pool(free...))
	in.rolledOut() // not on the control plane, whose taint of today this version does not tolerate
	in.namespace = l.Namespace()
	in.Deploy(in.namespace, "web", 3)
	addrs := []netip.Addr{free[0], free[4], free[1]}
	in.expose("web", "first", withEcho(nil))
	in.waitForAddresses("first", addrs[0])
	in.expose("web", "asking", withEcho(func(s *corev1.Service) { s.Spec.LoadBalancerIP = addrs[1].String() }))
	in.waitForAddresses("asking", addrs[1])
	in.expose("web", "local", withEcho(func(s *corev1.Service) { s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal }))
	in.waitForAddresses("local", addrs[2])
	for _, addr := range addrs {
		in.owner(addr)
	}

	t.Log("from MetalLB to Lanlord")
	seen := in.followAddresses()
	load := in.startLoad(addrs)
	in.follow(migrationPage, "## v0.9 to v0.12, in its place", 0)
	in.waitForPods()
	in.settled(addrs)
	load.stop()
	load.checkDarkAtMost(darkest)
	seen.check("first", addrs[0])
	seen.check("asking", addrs[1])
	seen.check("local", addrs[2])
	if t.Failed() {
		in.tell()
	}
	in.follow(migrationPage, "## v0.9 to v0.12, in its place", 1)
	in.rolledOut()
	in.expose("web", "new", nil)
	in.waitForAddresses("new", free[2])
	in.owner(free[2])
	in.meetAllPods(addrs[0], "web")

	t.Log("from Lanlord back to MetalLB")
	seen = in.followAddresses()
	load = in.startLoad(addrs)
	in.follow(migrationPage, "### Back", 0, "metallb.yaml", file)
	in.settled(addrs)
	load.stop()
	load.checkDarkAtMost(darkest)
	seen.check("first", addrs[0])
	seen.check("asking", addrs[1])
	seen.check("local", addrs[2])
	seen.check("new", free[2])
	in.expose("web", "newer", nil)
	in.waitForAddresses("newer", free[3])
	in.owner(free[3])
	in.meetAllPods(addrs[0], "web")
}

// deleteClusterRoles removes what a switch that was not finished leaves.
func (in *installation) deleteClusterRoles() {
	in.t.Helper()
	in.MustKubectl("delete", "--ignore-not-found", "clusterrole,clusterrolebinding",
		"lanlord-controller", "lanlord-speaker", "metallb-system:controller", "metallb-system:speaker")
}

// rolledOut waits until the Deployment and the DaemonSet in MetalLB's place have their new pods.
func (in *installation) rolledOut() {
	in.t.Helper()
	in.rolledOutIn(systemNamespace)
}

// migrationPage is what the tests of this file follow.
const migrationPage = "../docs/migrate-from-metallb.md"

// follow runs the commands of a page as a reader types them, in the project's folder: those of one block, counted from 0, below a
// heading. Of replace each first text is replaced by the second.
func (in *installation) follow(page, heading string, block int, replace ...string) {
	in.t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		in.t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n"+heading+"\n")
	if !found {
		in.t.Fatalf("%s has no heading %q", page, heading)
	}
	var blocks []string
	inside := false
	for line := range strings.Lines(section) {
		if strings.HasPrefix(line, "#") {
			break
		}
		command, indented := strings.CutPrefix(line, "    ")
		if indented && !inside {
			blocks = append(blocks, "")
		}
		if inside = indented; indented {
			blocks[len(blocks)-1] += command
		}
	}
	if block >= len(blocks) {
		in.t.Fatalf("%s has %d blocks of commands below %q", page, len(blocks), heading)
	}
	script := strings.NewReplacer(replace...).Replace(blocks[block])
	in.t.Logf("following %s, %s:\n%s", filepath.Base(page), heading, script)
	c := exec.CommandContext(in.t.Context(), "bash", "-euo", "pipefail", "-c", "eval \"$(e2e/cluster.sh env)\"\n"+script)
	c.Dir = ".."
	if out, err := c.CombinedOutput(); err != nil {
		in.t.Fatalf("%v\n%s", err, out)
	}
}

// tell logs what Lanlord says of it: of a test that goes on after a failure little else is left at its end.
func (in *installation) tell() {
	in.t.Helper()
	in.t.Log(in.MustKubectl("-n", in.namespace, "get", "events", "--sort-by=.lastTimestamp"))
	in.t.Log(in.MustKubectl("-n", systemNamespace, "logs", "deployment/controller"))
	for node, text := range in.speakerLogs(nil) {
		in.t.Log(node, text)
	}
}

// settled waits until each address is answered for by one node, and looks on for a while.
func (in *installation) settled(addrs []netip.Addr) {
	in.t.Helper()
	for _, addr := range addrs {
		in.owner(addr)
	}
	in.StartWatch(addrs[0], 3*time.Second).Wait()
	for _, addr := range addrs {
		in.t.Logf("%s is answered for by %s", addr, in.owner(addr).Name)
	}
}

// checkDarkAtMost fails the test if requests went unanswered for longer, or were not sent.
func (u *underLoad) checkDarkAtMost(bound time.Duration) {
	u.in.t.Helper()
	for _, r := range u.requests {
		if r.Longest() > bound || r.OK < r.Sent/2 || r.Sent == 0 {
			u.in.t.Errorf("%s; failures %v, gaps %+v; want none of more than %v", r, r.Errors, r.Gaps, bound)
		}
	}
}

// history is every list of addresses that the Services of the test have had, by name.
type history struct {
	in   *installation
	stop context.CancelFunc
	done sync.WaitGroup
	seen map[string][]string
}

// followAddresses begins to watch the status of the Services.
func (in *installation) followAddresses() *history {
	in.t.Helper()
	ctx, cancel := context.WithCancel(in.t.Context())
	h := &history{in: in, stop: cancel, seen: map[string][]string{}}
	watcher, err := in.Clientset.CoreV1().Services(in.namespace).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		in.t.Fatal(err)
	}
	h.done.Go(func() {
		defer watcher.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case event, open := <-watcher.ResultChan():
				if !open {
					return
				}
				if s, ok := event.Object.(*corev1.Service); ok {
					text := fmt.Sprint(ingress(s))
					if !slices.Contains(h.seen[s.Name], text) {
						h.seen[s.Name] = append(h.seen[s.Name], text)
					}
				}
			}
		}
	})
	return h
}

// check ends the watch and fails the test unless the Service has always had the address, and no other.
func (h *history) check(service string, addr netip.Addr) {
	h.in.t.Helper()
	h.in.waitForAddresses(service, addr)
	h.stop()
	h.done.Wait()
	if want := []string{fmt.Sprint([]netip.Addr{addr})}; !slices.Equal(h.seen[service], want) {
		h.in.t.Errorf("%s has had the addresses %v, want always %v", service, h.seen[service], want)
	}
}
