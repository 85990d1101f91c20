// Package inside runs the tests of a package in a process with a network, and if need be with mounts, of its own. The
// programs that the tests start end with the process.
package inside

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

// folderEnv has the folder of Options.Build, in the process inside.
const folderEnv = "LANLORD_E2E_INSIDE"

// Options are the inputs of Main.
type Options struct {
	// Programs are the packages below the root of the module that become programs in the folder, like "./cmd/speaker".
	Programs []string
	// Build adds to the folder whatever else needs Go's modules. Build runs outside, where the modules can be fetched. Nil
	// for nothing.
	Build func(folder string) error
	// Prepare sets the network up, inside.
	Prepare func() error
	// Mounts gives the process mounts of its own too.
	Mounts bool
}

// Main is the body of TestMain. Main ends the process.
func Main(m *testing.M, o Options) {
	flag.Parse()
	if os.Getenv(folderEnv) != "" {
		if err := o.Prepare(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	if err := o.enter(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// File returns the path of a file in the folder that Main has filled.
func File(name string) string { return filepath.Join(os.Getenv(folderEnv), name) }

// enter fills the folder and runs the tests inside.
func (o *Options) enter() error {
	folder, err := os.MkdirTemp("", "lanlord-inside-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	build := exec.Command("go", append([]string{"build", "-o", folder + "/"}, o.Programs...)...)
	build.Dir = "../.."
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	if o.Build != nil {
		if err := o.Build(folder); err != nil {
			return err
		}
	}
	inside := exec.Command("/proc/self/exe", os.Args[1:]...)
	inside.Env = append(os.Environ(), folderEnv+"="+folder)
	inside.Stdout, inside.Stderr = os.Stdout, os.Stderr
	inside.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGTERM}
	if o.Mounts {
		inside.SysProcAttr.Cloneflags |= syscall.CLONE_NEWNS
	}
	if err := inside.Run(); err != nil {
		return fmt.Errorf("the tests need root, for namespaces: %w", err)
	}
	return nil
}

// LAN makes an interface with the address, a peer that hears what the interface sends, and sets both and lo up.
func LAN(address netip.Prefix) error {
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "lan0"}, PeerName: "lan1"}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("make an interface: %w", err)
	}
	if err := addAddress("lan0", address); err != nil {
		return err
	}
	for _, name := range []string{"lan0", "lan1", "lo"} {
		if err := setUp(name); err != nil {
			return err
		}
	}
	return nil
}

// Loopback sets lo up, with the address.
func Loopback(address netip.Prefix) error {
	if err := addAddress("lo", address); err != nil {
		return err
	}
	return setUp("lo")
}

func addAddress(name string, address netip.Prefix) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	parsed, err := netlink.ParseAddr(address.String())
	if err != nil {
		return err
	}
	return netlink.AddrAdd(link, parsed)
}

func setUp(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}
