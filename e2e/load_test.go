package e2e

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanlord/lanlord/e2e/lab"
	"github.com/lanlord/lanlord/e2e/probe"
)

const (
	// echoPort is where command echo sends back what it gets.
	echoPort = 7
	// loadTimeout is long enough for what a busy machine delays. A datagram that the network loses never comes back, however long
	// one waits; a request that it loses is sent again by TCP, so that only one that breaks fails.
	loadTimeout = 5 * time.Second
	// A hundred requests a second in all go to a few addresses, and two hundred datagrams.
	requestsPerSecond  = 100
	datagramsPerSecond = 200
	connections        = 5
)

// withEcho adds to a change of a Service the ports for connections that last and for datagrams.
func withEcho(change func(*corev1.Service)) func(*corev1.Service) {
	return func(s *corev1.Service) {
		if change != nil {
			change(s)
		}
		s.Spec.Ports = []corev1.ServicePort{{Name: "http", Port: 80}, {Name: "echo", Port: echoPort}, {Name: "datagrams", Port: echoPort, Protocol: corev1.ProtocolUDP}}
	}
}

// underLoad is addresses that are used all the time: by requests, each on a new connection, by connections that last, and by
// datagrams.
type underLoad struct {
	in      *installation
	addrs   []netip.Addr
	owners  []lab.Node
	traffic []lab.Traffic
	packets []lab.Traffic
	streams []lab.Streams
	// The reports are there after stop.
	requests  []probe.Traffic
	datagrams []probe.Traffic
	lasting   []probe.Streams
	began     metav1.Time
}

// startLoad notes who owns the addresses and begins to use them.
func (in *installation) startLoad(addrs []netip.Addr) *underLoad {
	in.t.Helper()
	u := &underLoad{in: in, addrs: addrs}
	for _, addr := range addrs {
		u.owners = append(u.owners, in.owner(addr))
	}
	each := time.Duration(len(addrs)) * time.Second
	for _, addr := range addrs {
		echo := netip.AddrPortFrom(addr, echoPort).String()
		u.traffic = append(u.traffic, in.StartHTTP(probe.Load{URL: lab.URL(addr, 80), Every: each / requestsPerSecond, Timeout: loadTimeout}))
		u.packets = append(u.packets, in.StartDatagrams(probe.Load{Target: echo, Every: each / datagramsPerSecond, Timeout: loadTimeout}))
		u.streams = append(u.streams, in.StartStreams(probe.Talk{
			Target: echo, Connections: connections, Every: 50 * time.Millisecond, Timeout: 10 * time.Second,
		}))
	}
	// Some undisturbed traffic before whatever is to come.
	in.StartWatch(addrs[0], 500*time.Millisecond).Wait()
	u.began = metav1.Now()
	return u
}

// stop ends the load and logs the reports.
func (u *underLoad) stop() {
	u.in.t.Helper()
	for i := range u.addrs {
		u.requests = append(u.requests, u.traffic[i].Stop())
		u.datagrams = append(u.datagrams, u.packets[i].Stop())
		u.lasting = append(u.lasting, u.streams[i].Stop())
		u.in.t.Logf("%s", u.requests[i])
		u.in.t.Logf("%s", u.datagrams[i])
		u.in.t.Logf("%s", u.lasting[i])
	}
}

// longest returns the longest time in which no datagram came back.
func (u *underLoad) longest() time.Duration {
	var longest time.Duration
	for _, r := range u.datagrams {
		longest = max(longest, r.Longest())
	}
	return longest
}

// checkNothingLost fails the test if a datagram did not come back, or a request failed that no move of the address broke: the
// connections that are open when an address moves are known to the node before alone, and so the new one resets them, those of
// requests that are just under way too.
func (u *underLoad) checkNothingLost(moves int) {
	u.in.t.Helper()
	for _, r := range u.requests {
		if r.Failed != r.Errors["connection reset"] || r.Instants > moves || r.OK < requestsPerSecond/len(u.addrs)/10 {
			u.in.t.Errorf("%s; failures %v at %d instants, gaps %+v", r, r.Errors, r.Instants, r.Gaps)
		}
	}
	for _, r := range u.datagrams {
		if r.Failed > 0 || r.OK < datagramsPerSecond/len(u.addrs)/10 {
			u.in.t.Errorf("%s; failures %v, gaps %+v", r, r.Errors, r.Gaps)
		}
	}
}

// checkUndisturbed fails the test if anything was lost or a connection broke.
func (u *underLoad) checkUndisturbed() {
	u.in.t.Helper()
	u.checkNothingLost(0)
	for _, s := range u.lasting {
		if s.Opened != connections || len(s.Broken) > 0 || s.Lines == 0 {
			u.in.t.Errorf("%s; %+v", s, s.Broken)
		}
	}
}

// checkSameOwners fails the test unless each address is where it was.
func (u *underLoad) checkSameOwners() {
	u.in.t.Helper()
	for i, addr := range u.addrs {
		if now := u.in.owner(addr); now != u.owners[i] {
			u.in.t.Errorf("%s was announced by %s and is by %s\n%s", addr, u.owners[i].Name, now.Name,
				u.in.MustKubectl("get", "events", "--all-namespaces", "--field-selector", "reason=Announced"))
		}
	}
}

// followSpeakers reads on what the speakers that run now will log. The function that it returns waits until all of them have
// ended, and returns that.
func (in *installation) followSpeakers() func() []string {
	in.t.Helper()
	var following sync.WaitGroup
	pods := in.Pods(systemNamespace, "component=speaker")
	texts, failures := make([]string, len(pods)), make([]error, len(pods))
	for i, pod := range slices.Collect(maps.Keys(pods)) {
		following.Go(func() {
			var text []byte
			text, failures[i] = in.Clientset.CoreV1().Pods(systemNamespace).GetLogs(pod,
				&corev1.PodLogOptions{Follow: true, TailLines: new(int64)}).DoRaw(in.t.Context())
			texts[i] = string(text)
		})
	}
	return func() []string {
		following.Wait()
		if err := errors.Join(failures...); err != nil {
			in.t.Error(err)
		}
		return texts
	}
}

// checkNobodyMoved fails the test if a log of the speakers that run, or one of these others, tells of a change of ownership.
func (u *underLoad) checkNobodyMoved(others ...string) {
	u.in.t.Helper()
	for _, text := range append(slices.Collect(maps.Values(u.in.speakerLogs(&u.began))), others...) {
		for line := range strings.Lines(text) {
			if strings.Contains(line, "ownership ") {
				u.in.t.Error(strings.TrimSpace(line))
			}
		}
	}
}

// speakerLogs returns what the speakers have logged since a time, by node.
func (in *installation) speakerLogs(since *metav1.Time) map[string]string {
	in.t.Helper()
	logs := map[string]string{}
	for pod, node := range in.Pods(systemNamespace, "component=speaker") {
		text, err := in.Clientset.CoreV1().Pods(systemNamespace).GetLogs(pod, &corev1.PodLogOptions{SinceTime: since}).DoRaw(in.t.Context())
		if err != nil {
			in.t.Fatalf("log of %s: %v", pod, err)
		}
		logs[node] = string(text)
	}
	return logs
}

// speakerMetric adds up the series of a node's speaker whose names begin so.
func (in *installation) speakerMetric(node lab.Node, prefix string) float64 {
	in.t.Helper()
	text := in.ExecOnNode(node, "curl", "-s", "-m", "5", "http://127.0.0.1:7572/metrics")
	var sum float64
	found := false
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, prefix) {
			continue
		}
		var v float64
		if _, err := fmt.Sscan(line[strings.LastIndex(line, " ")+1:], &v); err != nil {
			in.t.Fatalf("metric %q: %v", line, err)
		}
		sum, found = sum+v, true
	}
	if !found {
		in.t.Fatalf("the speaker on %s has no metric %s", node.Name, prefix)
	}
	return sum
}
