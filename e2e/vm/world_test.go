package vm_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/lanlord/lanlord/e2e/controlplane"
	"github.com/lanlord/lanlord/e2e/inside"
	"github.com/lanlord/lanlord/e2e/vm"
)

const (
	manifest  = "../../deploy/install.yaml"
	namespace = "lanlord-system"

	// The bridges: two LANs, and the network with the API server.
	lan, otherLAN, management = "lan", "other", "management"

	// patience bounds a wait for what takes seconds on an idle machine.
	patience = 2 * time.Minute
	poll     = 50 * time.Millisecond
)

// kernels are the series, the newest first. With -short one is enough.
var kernels = []string{"6.12", "6.1"}

// anyKernel has kernel.sh take the newest kernel that the mirror has.
const anyKernel = "any"

var kernelFlag = flag.String("kernels", "", "the `series` of the kernels to test, as 6.1,6.12; empty for all, or for one with -short")

// self is the address of the API server in the network of the management.
var self = netip.MustParsePrefix("10.99.0.1/24")

// TestMain runs the tests in a network of their own.
func TestMain(m *testing.M) {
	inside.Main(m, inside.Options{Programs: []string{"./cmd/controller", "./cmd/speaker"}, Build: fetch, Prepare: prepare})
}

// fetch compiles the programs of this module and fetches the kernels, for which packages are downloaded.
func fetch(folder string) error {
	if missing() != "" {
		return nil
	}
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", folder+"/", "../cmd/vmagent", "../cmd/echo")
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	if !testing.Short() {
		if err := cross(folder); err != nil {
			return err
		}
	}
	for _, series := range candidates() {
		fetch := exec.Command("../kernel.sh", series)
		fetch.Stderr = os.Stderr
		dir, err := fetch.Output()
		if err != nil { // the tests of this kernel are skipped, or another kernel takes its place
			continue
		}
		if err := os.Symlink(strings.TrimSpace(string(dir)), filepath.Join(folder, "kernel-"+series)); err != nil {
			return err
		}
		if oneOf() {
			return nil
		}
	}
	return nil
}

// architectures are the other ones of the image, with the program that runs theirs here.
var architectures = map[string]string{"arm64": "qemu-aarch64-static", "arm": "qemu-arm-static"}

// cross compiles the daemons for the other architectures, if their programs can run here.
func cross(folder string) error {
	for arch, emulator := range architectures {
		if _, err := exec.LookPath(emulator); err != nil {
			continue
		}
		dir := filepath.Join(folder, arch)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", dir+"/", "./cmd/controller", "./cmd/speaker")
		build.Dir = "../.."
		build.Env = append(build.Environ(), "CGO_ENABLED=0", "GOARCH="+arch)
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build for %s: %w\n%s", arch, err, out)
		}
	}
	return nil
}

// oneOf reports whether one kernel is enough.
func oneOf() bool { return testing.Short() && *kernelFlag == "" }

// candidates returns the series of the kernels to fetch: all of them, or with oneOf the first that the mirror has.
func candidates() []string {
	switch {
	case *kernelFlag != "":
		return strings.Split(*kernelFlag, ",")
	case oneOf():
		return append(slices.Clone(kernels), anyKernel)
	}
	return kernels
}

// wanted returns the series of the kernels that are tested.
func wanted() []string {
	if !oneOf() {
		return candidates()
	}
	for _, series := range candidates() {
		if _, err := os.Stat(inside.File("kernel-" + series)); err == nil {
			return []string{series}
		}
	}
	return kernels[:1]
}

// missing returns why no machines can run here, empty if they can.
func missing() string {
	for program, name := range map[string]string{
		"qemu-system-x86_64": "qemu-system-x86", "busybox": "busybox-static", "depmod": "kmod", "ip": "iproute2", "dash": "dash", "xz": "xz-utils", "apt-get": "apt",
	} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Sprintf("no %s: e2e/packages.sh %s installs it on Debian", program, name)
		}
	}
	return ""
}

// prepare makes the bridges.
func prepare() error {
	if err := inside.Loopback(netip.MustParsePrefix("127.0.0.1/8")); err != nil && !os.IsExist(err) {
		return err
	}
	off := false
	for _, name := range []string{lan, otherLAN, management} {
		bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name, MTU: 9000}, MulticastSnooping: &off}
		if err := netlink.LinkAdd(bridge); err != nil {
			return fmt.Errorf("make the bridge %s: %w", name, err)
		}
		if err := netlink.LinkSetUp(bridge); err != nil {
			return err
		}
		if name == management {
			address, err := netlink.ParseAddr(self.String())
			if err == nil {
				err = netlink.AddrAdd(bridge, address)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// world is a cluster: a control plane, a controller, and a foreign host in each network.
type world struct {
	*controlplane.Server
	t *testing.T
	// dir has the files of the control plane. Machines keep theirs in short, as the names of sockets are short.
	dir, short  string
	accelerator string
	stations    map[string]*vm.Station
	images      map[string]string
}

// newWorld starts a cluster without machines.
func newWorld(t *testing.T) *world {
	t.Helper()
	if reason := missing(); reason != "" {
		absent(t, reason)
	}
	kernel := kernelOf(t, wanted()[0])
	binaries, err := controlplane.Binaries()
	if err != nil {
		t.Fatal(err)
	}
	short, err := os.MkdirTemp("", "vm-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(short) })
	w := &world{t: t, dir: t.TempDir(), short: short, stations: map[string]*vm.Station{}, images: map[string]string{}}
	w.Server = controlplane.New(controlplane.Options{Binaries: binaries, Dir: w.dir, Manifest: manifest})
	t.Cleanup(w.Close)
	place := controlplane.Place{Addr: self.Addr(), Start: start, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	if err := w.Start(t.Context(), place); err != nil {
		t.Fatal(err)
	}
	w.configure()
	w.startController()
	for i, bridge := range []string{lan, otherLAN, management} {
		station, err := vm.NewStation(bridge, byte(i))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(station.Close)
		w.stations[bridge] = station
	}
	w.accelerator = vm.Accelerator(t.Context(), kernel)
	t.Logf("the machines run with %s", w.accelerator)
	return w
}

// start starts a process that ends with this one.
func start(c *exec.Cmd) error {
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return c.Start()
}

// startController starts the controller on the host of the API server.
func (w *world) startController() {
	w.t.Helper()
	log := &bytes.Buffer{}
	cmd := exec.Command(inside.File("controller"), "--kubeconfig="+w.Kubeconfig(controlplane.Controller), "--namespace="+namespace,
		"--listen=127.0.0.1:7572", "--status-listen=")
	cmd.Stdout, cmd.Stderr = log, log
	if err := start(cmd); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
		if w.t.Failed() {
			w.t.Logf("the controller:\n%.4000s", log)
		}
	})
}

// modules lists the modules for the set-ups.
var modules = []string{
	"bonding", "8021q", "bridge", "macvlan", "ipvlan", "vrf", "dummy", "veth",
}

// absent skips a test for which something is missing. Where all tools are required, absent fails the test.
func absent(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("LANLORD_TOOLS") == "required" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

// kernelOf returns the folder of a kernel. Without the kernel, the test is skipped.
func kernelOf(t *testing.T, series string) string {
	t.Helper()
	dir := inside.File("kernel-" + series)
	if _, err := os.Stat(dir); err != nil {
		absent(t, "no kernel "+series+": e2e/kernel.sh could not download a package, and has said why")
	}
	return dir
}

// extras lists the contents of an archive besides the speaker and the files of the set-ups.
type extras struct {
	// name is unique among the extras, empty for none.
	name string
	// programs are found in PATH. The test is skipped where one is missing.
	programs []string
	// trees and files are as in [vm.Image].
	trees []string
	files map[string]string
}

// image returns the archive for a kernel, with the speaker, the modules of the set-ups, and what x adds.
func (w *world) image(t *testing.T, series string, x extras) string {
	t.Helper()
	key := "initrd-" + series + x.name
	if file := w.images[key]; file != "" {
		return file
	}
	var programs []string
	for _, name := range slices.Concat([]string{"ip", "bridge", "ethtool"}, x.programs) {
		path, err := exec.LookPath(name)
		if err != nil {
			absent(t, "no "+name+": make test-vm-ready installs the programs on Debian")
		}
		programs = append(programs, path)
	}
	files := map[string]string{"/bin/speaker": inside.File("speaker")}
	maps.Copy(files, x.files)
	image := vm.Image{Kernel: kernelOf(t, series), Agent: inside.File("vmagent"), Modules: modules, ModuleTrees: x.trees, Programs: programs,
		Files: files}
	file := filepath.Join(w.short, key)
	if err := image.Write(file); err != nil {
		t.Fatal(err)
	}
	w.images[key] = file
	return file
}

// boot starts a machine that ends with the test t.
func (w *world) boot(t *testing.T, o vm.Options) *vm.Machine {
	t.Helper()
	o.Accelerator, o.Dir = w.accelerator, w.short
	begin := time.Now()
	m, err := vm.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	t.Logf("%s has booted after %v", o.Name, time.Since(begin).Round(10*time.Millisecond))
	return m
}

// await waits for a condition.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !condition(); time.Sleep(poll) {
		if time.Now().After(end) || t.Context().Err() != nil {
			t.Fatalf("%s: not after %v", what, patience)
		}
	}
}
