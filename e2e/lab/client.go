package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/lanlord/lanlord/e2e/probe"
)

// Exec runs a command in the outside client and returns what it printed.
func (l *Lab) Exec(command ...string) (string, error) {
	return run(context.Background(), "docker", slices.Concat([]string{"exec"}, l.client, command)...)
}

// MustExec is Exec for what must succeed.
func (l *Lab) MustExec(command ...string) string {
	l.t.Helper()
	output, err := l.Exec(command...)
	if err != nil {
		l.t.Fatal(err)
	}
	return output
}

// Copy replaces a file or folder of the client by one of this machine, whose path is relative to the working folder of the
// test, until the test ends.
func (l *Lab) Copy(source, target string) {
	l.t.Helper()
	remove := func() { l.MustExec("rm", "-rf", target) }
	remove()
	l.t.Cleanup(remove)
	l.MustExec("mkdir", "-p", path.Dir(target))
	l.docker("cp", source, ClientName+":"+target)
}

// EquipClient gives the client what a user of the cluster has on a machine of his own: kubectl, and the credentials, which
// choose a namespace.
func (l *Lab) EquipClient(namespace string) {
	l.t.Helper()
	l.Copy(filepath.Join(l.runDir, "bin", "kubectl"), "/usr/local/bin/kubectl")
	l.Copy(l.kubeconfig, "/root/.kube/config")
	// The file has the port of the API server that is open on this machine alone.
	l.MustExec("kubectl", "config", "set-cluster", "kind-"+clusterName, "--server=https://"+clusterName+"-control-plane:6443")
	l.MustExec("kubectl", "config", "set-context", "--current", "--namespace="+namespace)
}

// Get returns the page at a URL as the client sees it.
func (l *Lab) Get(url string) (string, error) {
	return l.Exec("curl", "-sSf", "-g", "-m", "2", url)
}

// URL is where an address serves HTTP.
func URL(address netip.Addr, port int) string {
	return "http://" + netip.AddrPortFrom(address, uint16(port)).String() + "/"
}

// Who returns who answers for an address: ARP for IPv4, neighbour discovery for IPv6.
// It asks a few times, so that several owners all have their say.
func (l *Lab) Who(address netip.Addr) probe.Neighbours {
	l.t.Helper()
	return l.neighbours(address, "--count", "5", "--interval", "100ms", "--wait", "500ms")
}

// FirstAnswer asks every 5 ms until somebody answers for an address. The report is
// empty of answers if nobody did within the time.
func (l *Lab) FirstAnswer(address netip.Addr, within time.Duration) probe.Neighbours {
	l.t.Helper()
	const interval = 5 * time.Millisecond
	return l.neighbours(address, "--count", fmt.Sprint(max(1, int64(within/interval))), "--interval", interval.String(), "--until-answered")
}

// protocol is the word of command probe that asks for an address.
func protocol(address netip.Addr) string {
	if address.Is6() {
		return "ndp"
	}
	return "arp"
}

func (l *Lab) neighbours(address netip.Addr, flags ...string) probe.Neighbours {
	l.t.Helper()
	protocol := protocol(address)
	output := l.MustExec(append([]string{"probe", protocol, address.String()}, flags...)...)
	var report probe.Neighbours
	if err := json.Unmarshal([]byte(output), &report); err != nil {
		l.t.Fatalf("report of probe %s: %v", protocol, err)
	}
	return report
}
