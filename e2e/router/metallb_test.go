package router_test

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/lanlord/lanlord/e2e/router"
)

// metallbConfig returns the configuration in one of the manifests of MetalLB v0.12.
func metallbConfig(t *testing.T, manifest string) string {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "go.universe.tf/metallb")
	list.Dir = "../metallb/v0.12"
	dir, err := list.Output()
	if err != nil || len(strings.TrimSpace(string(dir))) == 0 {
		download := exec.CommandContext(t.Context(), "go", "mod", "download", "go.universe.tf/metallb")
		download.Dir = list.Dir
		if out, err := download.CombinedOutput(); err != nil {
			t.Skipf("MetalLB cannot be had: %v: %s", err, out)
		}
		again := exec.CommandContext(t.Context(), list.Path, list.Args[1:]...)
		again.Dir = list.Dir
		if dir, err = again.Output(); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "manifests", manifest))
	if err != nil {
		t.Fatal(err)
	}
	var object struct {
		Data struct {
			Config string `json:"config"`
		} `json:"data"`
	}
	if err := yaml.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	return object.Data.Config
}

// TestMetalLBTutorial uses the unchanged configuration of MetalLB's tutorial: iBGP with three routers.
func TestMetalLBTutorial(t *testing.T) {
	t.Parallel()
	kinds := installed(t, router.FRR, router.BIRD, router.OpenBGPD)
	e := speakers(t, 2, metallbConfig(t, "tutorial-3.yaml"))
	const asn = 64512
	var neighbors []router.Neighbor
	for i := range e.Nodes() {
		own := netip.AddrFrom4([4]byte{10, 96, 0, byte(10 + i)})
		e.must(e.AddAddress(i, "eth0", netip.PrefixFrom(own, 24)))
		e.senders = append(e.senders, own)
		neighbors = append(neighbors, router.Neighbor{Address: own, ASN: asn})
	}
	var routers []*router.Router
	for i, k := range kinds {
		station, err := e.NewStation(4 + i)
		e.must(err)
		e.must(station.AddAddress(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 96, 0, byte(100 + i)}), 24)))
		r, err := router.StartAt(
			t.Context(),
			station,
			router.Options{Kind: k, Station: 4 + i, ASN: asn, Neighbors: neighbors,
				Address: netip.AddrFrom4([4]byte{10, 96, 0, byte(100 + i)})},
		)
		e.must(err)
		t.Cleanup(r.Close)
		routers = append(routers, r)
	}
	e.put(router.Service{Name: "four", Addr: router.MetalLBAddress(), Pool: "my-ip-space"}, router.On(0))
	e.startSpeakers()
	for _, r := range routers {
		paths := e.awaitPaths(r, router.MetalLBAddress(), len(neighbors))
		for i, p := range paths {
			if p.From != neighbors[i].Address || p.NextHop != p.From || len(p.ASPath) > 0 || len(p.Communities) > 0 {
				t.Errorf("%s: path %+v", r.Kind, p)
			}
		}
	}
}

// TestMetalLBExample uses MetalLB's example configuration, without the two lines that MetalLB v0.12 itself refuses: an
// unknown key, and multihop for iBGP.
func TestMetalLBExample(t *testing.T) {
	t.Parallel()
	needs(t, router.FRR)
	config := metallbConfig(t, "example-config.yaml")
	for _, line := range []string{`(?m)^ *bfdProfile: .*\n`, `(?m)^ *ebgp-multihop: true\n`} {
		if n := len(regexp.MustCompile(line).FindAllString(config, -1)); n != 1 {
			t.Fatalf("%d lines like %s", n, line)
		}
		config = regexp.MustCompile(line).ReplaceAllString(config, "")
	}
	e := speakers(t, 2, config)
	e.must(e.Label(0, map[string]string{"kubernetes.io/hostname": "prod-01", "beta.kubernetes.io/arch": "amd64"}))
	source, far := netip.MustParsePrefix("10.0.0.2/24"), netip.MustParsePrefix("10.0.0.1/24")
	e.must(e.AddAddress(0, "eth0", source))
	e.senders = append(e.senders, source.Addr())
	station, err := e.NewStation(4)
	e.must(err)
	e.must(station.AddAddress(far))
	r, err := router.StartAt(t.Context(), station, router.Options{Kind: router.FRR, Station: 4, ASN: 64512,
		Neighbors: []router.Neighbor{{Address: source.Addr(), ASN: 64512, Password: "yourPassword", HoldTime: 180e9}}})
	e.must(err)
	t.Cleanup(r.Close)
	e.put(router.Service{Name: "four", Addr: router.MetalLBAddress(), Pool: "my-ip-space"}, router.On(1))
	e.startSpeakers()
	paths := e.awaitPaths(r, router.MetalLBAddress(), 1)
	want := router.Path{
		From:        source.Addr(),
		NextHop:     source.Addr(),
		LocalPref:   100,
		Communities: []string{"64512:1", "65535:65281"},
	}
	if fmt.Sprint(paths[0]) != fmt.Sprint(want) {
		t.Errorf("path %+v, want %+v", paths[0], want)
	}
	s, err := r.Session(t.Context(), source.Addr())
	e.must(err)
	if s.HoldTime != 120e9 {
		t.Errorf("hold time %v, want 120 s", s.HoldTime)
	}
	if all, err := r.Prefixes(t.Context(), false); err != nil ||
		!slices.Equal(all, []netip.Prefix{router.HostPrefix(router.MetalLBAddress())}) {
		t.Errorf("prefixes %v, %v", all, err)
	}
}
