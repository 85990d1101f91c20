package scale

import (
	"bytes"
	"cmp"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanlord/lanlord/e2e/controlplane"
	"github.com/lanlord/lanlord/e2e/wire"
)

// newRig makes a small Rig with programs that it builds, whose logs are shown if the test fails.
func newRig(t *testing.T) *Rig {
	t.Helper()
	r, err := New(t.Context(), rigOptions(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// rigOptions returns the options of a small Rig. It builds the programs, and shows the logs if the test fails.
func rigOptions(t *testing.T) Options {
	t.Helper()
	if testing.Short() {
		t.Skip("takes a minute; this is -short")
	}
	if os.Geteuid() != 0 {
		t.Skip("network namespaces are made by root")
	}
	binaries, err := controlplane.Binaries()
	if err != nil {
		t.Skip(err) // it takes longer to compile them than all tests together
	}
	programs, logs := t.TempDir(), t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", programs, "./cmd/controller", "./cmd/speaker")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the controller and the speaker: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if t.Failed() {
			if err := wire.WriteLogs(t.Output(), logs); err != nil {
				t.Error(err)
			}
		}
	})
	return Options{
		Controller: filepath.Join(programs, "controller"), Speaker: filepath.Join(programs, "speaker"), Binaries: binaries,
		Manifest: "../../deploy/install.yaml", Speakers: 3, Nodes: 17, Dir: logs,
	}
}

// TestRealAPIServer goes through what is measured with few Services, and asks for all but times: with the rights of the manifest
// each Service gets an address of its own, the oldest the first; a restart changes none; and what a node had that crashes the
// others announce.
func TestRealAPIServer(t *testing.T) {
	const services = 200
	r, ctx := newRig(t), t.Context()
	ok := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	_, err := r.Reference(ctx, 20)
	ok("reference", err)
	_, err = r.Create(ctx, services)
	ok("create", err)
	_, err = r.Again(ctx)
	ok("all at once", err)
	before := checkOrder(t, r)
	ok("announce", r.Announce(ctx, 0))
	_, err = r.Endpoints(ctx, 20)
	ok("endpoints", err)
	_, err = r.Heartbeats(ctx, 20)
	ok("heartbeats", err)
	used, err := r.Idle(ctx, time.Second)
	ok("idle", err)
	if used.Gossip == 0 || used.Watching == 0 || used.Speaker == 0 {
		t.Errorf("nothing was used: %+v", used)
	}
	_, err = r.Foreign(ctx, 1000, time.Second)
	ok("requests of other hosts", err)
	crash, err := r.Crash(ctx)
	ok("crash", err)
	if crash.Owned == 0 || crash.Owned == services || crash.Owners > 1 {
		t.Errorf("crash of a node: %+v", crash)
	}
	_, _, err = r.RestartController(ctx)
	ok("restart the controller", err)
	_, err = r.RestartSpeaker(ctx, 0)
	ok("restart a speaker", err)
	if after := checkOrder(t, r); !slices.Equal(before, after) {
		t.Error("addresses have changed in a restart")
	}
}

// checkOrder asks whether older Services have lower addresses, and returns the addresses in their order.
func checkOrder(t *testing.T, r *Rig) []netip.Addr {
	t.Helper()
	if _, err := r.addresses(t.Context()); err != nil {
		t.Fatal(err)
	}
	list, err := r.server.Admin.CoreV1().Services(appNamespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ours := slices.DeleteFunc(list.Items, func(s corev1.Service) bool { return len(s.Status.LoadBalancer.Ingress) == 0 })
	slices.SortFunc(ours, func(a, b corev1.Service) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	addrs := make([]netip.Addr, len(ours))
	for i, s := range ours {
		addrs[i] = netip.MustParseAddr(s.Status.LoadBalancer.Ingress[0].IP)
	}
	if len(addrs) != r.services || !slices.IsSortedFunc(addrs, netip.Addr.Compare) {
		t.Errorf("%d Services of %d, from the oldest to the youngest: %v", len(addrs), r.services, addrs)
	}
	return addrs
}

func TestUsage(t *testing.T) {
	m, err := memory(os.Getpid())
	if err != nil || m.Own == 0 || m.Own > m.Now || m.Now > m.Peak {
		t.Errorf("memory of this process: %+v, %v", m, err)
	}
	before, err := loadOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		time.Sleep(time.Millisecond) // the thread gives the CPU away
		now, err := loadOf(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		if d := now.since(before); d.cpu > 0 && d.switches > 0 {
			return
		}
	}
	t.Error("this process takes no CPU, or never waits")
}

func TestTable(t *testing.T) {
	all := Result{Services: 2000, Speakers: 3, Nodes: 197, Plan: Plan{Changes: 100}}
	all.Created = Assignment{All: 12 * time.Second, CPU: 2500 * time.Millisecond}
	all.Reference = Reference{Both: 10 * time.Second}
	all.Idle = Usage{Speaker: 30 * time.Millisecond, Over: 30 * time.Second, Gossip: 60_000, Watching: 30_000}
	all.Foreign.Inside = wire.Cost{User: 800 * time.Nanosecond, System: 2500 * time.Nanosecond}
	all.Endpoints = Usage{Speaker: 103 * time.Millisecond, Over: 3 * time.Second}
	var text bytes.Buffer
	if err := Write(&text, []Result{all}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"  ratio": "1.2 1.20", "controller, CPU for it, created one by one, s": "3 for 2,000 2.50", "speaker, idle, % of a core": "0.2 0.10",
		"speaker, CPU for an endpoint change, us": "1000", "gossip and watching, kB/s a node": "20 3.0",
		"  for an address of the pools that nobody has": "1 0.80 (kernel 2.50)",
		"all there at once: first assigned to last, s":  "-",
	} {
		found := false
		for line := range strings.Lines(text.String()) {
			rest, is := strings.CutPrefix(line, name+"  ")
			found = found || is && strings.Join(strings.Fields(rest), " ") == want
		}
		if !found {
			t.Errorf("no line %q with %q in\n%s", name, want, text.String())
		}
	}
}
