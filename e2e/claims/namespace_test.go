package claims

import (
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

// insideEnv is set in the process that is in a network namespace of its own: the path of the controller.
const insideEnv = "LANLORD_CLAIMS_CONTROLLER"

// self is the address of the API server.
var self = netip.MustParsePrefix("10.99.0.1/32")

// TestMain runs the tests in a process in a new network namespace, which ends with that process.
func TestMain(m *testing.M) {
	flag.Parse()
	if os.Getenv(insideEnv) != "" {
		if err := up(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	os.Exit(outside())
}

// outside builds the controller, where Go's modules can be fetched, and runs the tests in the namespace.
func outside() int {
	dir, err := os.MkdirTemp("", "lanlord-claims-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "controller")
	build := exec.Command("go", "build", "-o", program, "./cmd/controller")
	build.Dir = "../.."
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	inside := exec.Command("/proc/self/exe", os.Args[1:]...)
	inside.Env = append(os.Environ(), insideEnv+"="+program)
	inside.Stdout, inside.Stderr = os.Stdout, os.Stderr
	inside.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGTERM}
	if err := inside.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "claims (needs root, for a network namespace):", err)
		return 1
	}
	return 0
}

// up gives the namespace its only address.
func up() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	address, err := netlink.ParseAddr(self.String())
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(lo, address); err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}
