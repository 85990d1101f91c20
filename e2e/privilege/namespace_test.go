package privilege

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
)

// insideEnv is set in the process that is in a network namespace of its own: the folder with the programs.
const insideEnv = "LANLORD_PRIVILEGE_NAMESPACE"

// self is the address of this machine's only node, with a LAN of its own.
var self = netip.MustParsePrefix("10.99.0.1/24")

// TestMain runs the tests in a process in a new network namespace, which ends with it and with all that it starts.
func TestMain(m *testing.M) {
	flag.Parse()
	if os.Getenv(insideEnv) != "" {
		if err := lan(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	programs, err := build()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer os.RemoveAll(programs)
	inside := exec.Command("/proc/self/exe", os.Args[1:]...)
	inside.Env = append(os.Environ(), insideEnv+"="+programs)
	inside.Stdout, inside.Stderr = os.Stdout, os.Stderr
	inside.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGTERM}
	if err := inside.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "privilege (needs root, for a network namespace):", err)
		os.RemoveAll(programs)
		os.Exit(1)
	}
}

// build builds all three programs out here, where Go's modules can be fetched, and returns the folder with them.
func build() (string, error) {
	dir, err := os.MkdirTemp("", "lanlord-privilege-")
	if err != nil {
		return "", err
	}
	command := exec.Command("go", "build", "-o", dir, "./cmd/controller", "./cmd/speaker", "./cmd/kubectl-lanlord")
	command.Dir = "../.."
	command.Env = append(command.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	for _, version := range metallbVersions {
		if err := fetchMetalLB(version, filepath.Join(dir, version+".yaml")); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// metallbVersions are the versions of MetalLB whose CustomResourceDefinitions the tests have.
var metallbVersions = []string{"v0.13", "v0.15", "v0.16"}

// fetchMetalLB writes MetalLB's own manifest, of the module in ../metallb, into a file.
func fetchMetalLB(version, file string) error {
	command := exec.Command("go", "mod", "download", "-json", "go.universe.tf/metallb")
	command.Dir = filepath.Join("../metallb", version)
	out, err := command.Output()
	if err != nil {
		return fmt.Errorf("download MetalLB %s: %w\n%s", version, err, out)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		return fmt.Errorf("download MetalLB %s: %w", version, err)
	}
	text, err := os.ReadFile(filepath.Join(module.Dir, "config", "manifests", "metallb-native.yaml"))
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}

// lan makes an interface with the node's address, and whoever hears it.
func lan() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "lan0"}, PeerName: "lan1"}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("make an interface: %w", err)
	}
	for _, name := range []string{"lan0", "lan1"} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		if name == "lan0" {
			address, err := netlink.ParseAddr(self.String())
			if err != nil {
				return err
			}
			if err := netlink.AddrAdd(link, address); err != nil {
				return err
			}
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return err
		}
	}
	return netlink.LinkSetUp(lo)
}
