package vm_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanlord/lanlord/e2e/controlplane"
	"github.com/lanlord/lanlord/e2e/inside"
	"github.com/lanlord/lanlord/e2e/vm"
)

// proxyModules lists the modules for the modes of kube-proxy.
var proxyModules = []string{
	"nf_tables", "nft_compat", "nft_chain_nat", "nft_ct", "nft_fib_inet", "nft_fib_ipv4", "nft_fib_ipv6", "nft_numgen", "nft_hash", "nft_masq",
	"nft_redir", "nft_nat", "nft_limit", "nft_log", "nft_reject_inet", "nf_conntrack", "nf_conntrack_netlink", "nf_nat", "xt_comment",
	"xt_conntrack", "xt_mark", "xt_nat", "xt_MASQUERADE", "xt_addrtype", "xt_statistic", "xt_set", "xt_tcpudp", "xt_multiport", "xt_recent",
	"ipt_REJECT", "ip6t_REJECT", "ip_vs", "ip_vs_rr", "ip_vs_wrr", "ip_vs_sh", "ip_set", "ip_set_hash_ip", "ip_set_hash_ipport", "ip_set_hash_ipportip",
	"ip_set_hash_ipportnet", "ip_set_hash_net", "ip_set_bitmap_port", "dummy",
}

// proxyFiles returns the programs that kube-proxy calls, and the files of hyperkube and the echo server.
func proxyFiles(t *testing.T) (programs []string, files map[string]string) {
	t.Helper()
	for _, name := range []string{"iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore", "nft", "ipset"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Skipf("no %s: e2e/packages.sh iptables nftables ipset installs it on Debian", name)
		}
		programs = append(programs, path)
	}
	binaries, err := controlplane.Binaries()
	if err != nil {
		t.Fatal(err)
	}
	files = map[string]string{"/bin/hyperkube": filepath.Join(binaries, "hyperkube"), "/bin/echoserver": inside.File("echo")}
	extensions, err := filepath.Glob("/usr/lib/*-linux-gnu/xtables/*.so")
	if err != nil || len(extensions) == 0 {
		t.Fatalf("the extensions of iptables are not found: %v", err)
	}
	for _, e := range extensions {
		files[e] = e
	}
	return programs, files
}

// TestServiceProxies runs a real kube-proxy in its modes, and the speaker, in one machine: a client on the LAN reaches the
// endpoint through the address, the first connection to a new address is not refused, and there is one answer to each
// question, or an Event that tells why there are two.
func TestServiceProxies(t *testing.T) {
	if testing.Short() {
		t.Skip("a minute for each mode, left out with -short")
	}
	w := newWorld(t)
	programs, files := proxyFiles(t)
	series := wanted()[0]
	m := w.boot(t, vm.Options{
		Name: "proxy", Number: 40, Kernel: kernelOf(t, series), Initrd: w.image(series, "proxy", proxyModules, files, programs...), Memory: 1024, CPUs: 2,
		Ports: []vm.Port{{Bridge: lan}, {Bridge: management}},
	})
	n := w.join(t, m, "proxy", 40, 1)
	n.flags = []string{"--kube-proxy-metrics=127.0.0.1:10249"}
	n.run(t, "echo 1 >/proc/sys/net/ipv4/ip_forward\nip link add dummy0 type dummy\nip link del dummy0\n"+addresses("eth0"))
	if err := n.StartProgram(t.Context(), "echo", nil, "/bin/echoserver", "-listen=:8080", "-echo=:7"); err != nil {
		t.Fatal(err)
	}
	client := netip.MustParsePrefix("192.0.2.9/24")
	addHost(t, lan, client)
	j, all := &judge{w: w}, results{}
	for i, mode := range []struct{ name, flags, told string }{
		{"iptables", "", ""},
		{"nftables", "", ""},
		{"ipvs, strict ARP", "--ipvs-strict-arp=true", ""},
		{"ipvs", "", "in IPVS mode without strictARP"},
	} {
		t.Run(mode.name, func(t *testing.T) {
			t.Cleanup(func() {
				if t.Failed() {
					all.add("kube-proxy "+mode.name, series, "FAILED", 0)
					out, err := n.Run(w.t.Context(), "tail -n 30 /var/log/proxy; tail -n 30 /var/log/speaker; ip addr")
					t.Logf("%v\n%s", err, out)
				}
			})
			kind, _, _ := strings.Cut(mode.name, ",")
			args := []string{"/bin/hyperkube", "kube-proxy", "--kubeconfig=" + w.Kubeconfig("admin"), "--proxy-mode=" + kind,
				"--hostname-override=" + n.name, "--metrics-bind-address=127.0.0.1:10249", "--conntrack-max-per-core=0",
				"--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0"}
			if mode.flags != "" {
				args = append(args, mode.flags)
			}
			if err := n.StartProgram(t.Context(), "proxy", nil, args...); err != nil {
				t.Fatal(err)
			}
			n.startSpeaker(t)
			defer func() {
				n.stopSpeaker(t)
				if err := n.Signal(t.Context(), "proxy", syscall.SIGTERM, true); err != nil {
					t.Error(err)
				}
				n.run(t, "hyperkube kube-proxy --cleanup 2>&1\nfor s in arp_ignore arp_announce; do echo 0 >/proc/sys/net/ipv4/conf/all/$s; done")
			}()
			await(t, "the speaker is ready", func() bool { return strings.Contains(n.log(t), "state=ready") })
			begin, addr := time.Now(), netip.AddrFrom4([4]byte{192, 0, 2, byte(110 + i)})
			w.addProxied(t, fmt.Sprintf("proxied-%d", i), addr, n)
			refused := connect(t, addr)
			took := time.Since(begin)
			at := where{bridge: lan, macs: []string{vm.Options{Number: 40}.MAC(0)}}
			if mode.told != "" {
				j.told(t, setup{told: mode.told}, at)
			} else {
				j.settled(t, addr, at)
				j.one(t, addr, at)
			}
			if refused > 0 {
				t.Errorf("%d connections to the new address were refused", refused)
			}
			all.add("kube-proxy "+mode.name, series, fmt.Sprintf("traffic flows, %d refused", refused), took)
		})
	}
	all.print(t)
}

// addHost gives the bridge itself an address, so that this process is a host in the network.
func addHost(t *testing.T, bridge string, a netip.Prefix) {
	t.Helper()
	link, err := netlink.LinkByName(bridge)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := netlink.ParseAddr(a.String())
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.AddrAdd(link, parsed); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = netlink.AddrDel(link, parsed) }) // the namespace ends with the tests
}

// addProxied makes a Service whose endpoint is the echo server of a node.
func (w *world) addProxied(t *testing.T, name string, addr netip.Addr, n *member) {
	t.Helper()
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: name}},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: new("http"), Port: new(int32(8080)), Protocol: new(corev1.ProtocolTCP)}},
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{n.address.Addr().String()}, NodeName: &n.name,
			Conditions: discoveryv1.EndpointConditions{Ready: new(true), Serving: new(true), Terminating: new(false)}}},
	}
	if _, err := w.Admin.DiscoveryV1().EndpointSlices("default").Create(t.Context(), slice, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{"lanlord.io/load-balancer-ips": addr.String()}},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol},
			Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
	}
	if _, err := w.Admin.CoreV1().Services("default").Create(t.Context(), service, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// connect requests pages from a new address until some were answered, and returns how many connections were refused: a
// node answers for the address, and does not forward.
func connect(t *testing.T, addr netip.Addr) (refused int) {
	t.Helper()
	http := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext}}
	pages := 0
	await(t, "pages from "+addr.String(), func() bool {
		answer, err := http.Get("http://" + addr.String() + "/")
		switch {
		case err == nil:
			_ = answer.Body.Close() // nothing was read
			pages++
		case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET):
			refused++
		}
		return pages == 3
	})
	return refused
}
