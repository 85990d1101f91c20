package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
)

const (
	strangerName = "lanlord-stranger"
	clientImage  = "lanlord-e2e/client:dev"
)

// Stranger is a host on the nodes' network that is no node, beside the client.
type Stranger struct {
	MAC string // of eth0, in lower case

	lab *Lab
}

// StartStranger starts a stranger, which lives as long as the test. No node may be dead: Docker would give its address away.
func (l *Lab) StartStranger() Stranger {
	l.t.Helper()
	_, _ = run(context.Background(), "docker", "rm", "-f", strangerName) // one that an interrupted test has left
	l.docker("run", "-d", "--rm", "--name", strangerName, "--init", "--network", NetworkName,
		"--cap-add", "NET_ADMIN", "--cap-add", "NET_RAW", clientImage, "sleep", "infinity")
	l.t.Cleanup(func() {
		l.t.Helper()
		l.docker("rm", "-f", strangerName)
	})
	var mac string
	output := l.docker("inspect", "--format", `{{json (index .NetworkSettings.Networks "`+NetworkName+`").MacAddress}}`, strangerName)
	if err := json.Unmarshal([]byte(output), &mac); err != nil {
		l.t.Fatalf("docker inspect %s: %v", strangerName, err)
	}
	return Stranger{MAC: strings.ToLower(mac), lab: l}
}

// Take gives the stranger an address, for which it answers from now on. It tells nobody.
func (s Stranger) Take(address netip.Addr) {
	s.lab.t.Helper()
	s.lab.docker(append([]string{"exec", strangerName, "ip", "addr", "add"}, s.flags(address)...)...)
}

// Leave takes the address from the stranger.
func (s Stranger) Leave(address netip.Addr) {
	s.lab.t.Helper()
	s.lab.docker(append([]string{"exec", strangerName, "ip", "addr", "del"}, s.flags(address)[:3]...)...)
}

func (s Stranger) flags(address netip.Addr) []string {
	flags := []string{fmt.Sprintf("%s/%d", address, address.BitLen()), "dev", "eth0"}
	if address.Is6() {
		flags = append(flags, "nodad")
	}
	return flags
}

// Claim announces an IPv4 address that the stranger has to the whole network, as a host does that has just got it.
func (s Stranger) Claim(address netip.Addr) {
	s.lab.t.Helper()
	// arping ends with 1 when nobody answers.
	s.lab.docker("exec", strangerName, "sh", "-c",
		fmt.Sprintf("arping -U -c 1 -w 0.1 -i eth0 -S %[1]s %[1]s || [ $? = 1 ]", address))
}
