package page

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/inspect"
	"github.com/lanlord/lanlord/pkg/status"
)

// noon is the time of the cluster of the tests.
var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// told is the file format of a cluster in testdata: the Services with their addresses, and the statuses of the speakers.
type told struct {
	Services []struct {
		Name      string
		Addresses []netip.Addr
		Condition cluster.Condition
	}
	Speakers []status.Speaker
}

// sightOf returns the cluster of a testdata file.
func sightOf(t *testing.T, text []byte) Sight {
	t.Helper()
	var in told
	if err := json.Unmarshal(text, &in); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse([]byte("address-pools:\n- {name: lan, protocol: layer2, addresses: [192.0.2.0/25]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	c := &inspect.Cluster{
		At: noon, Namespace: "lanlord-system", GossipKeys: -1,
		Config: inspect.Config{Name: "config", Found: true, Known: true, Config: cfg},
	}
	s := status.Controller{Role: status.Leader, Since: noon.Add(-time.Hour), Pools: []status.Pool{}, HeldBack: []status.HeldBack{}}
	s.Kind, s.Time, s.Connected, s.Pod = status.KindController, noon, true, "controller-1"
	s.Configuration = status.Configuration{Source: "lanlord-system/config", Hash: "9f2c41d07ab8", Loaded: noon.Add(-time.Hour)}
	for _, x := range in.Services {
		namespace, name, _ := strings.Cut(x.Name, "/")
		c.Services = append(c.Services, cluster.Service{
			Key: cluster.Key{Namespace: namespace, Name: name}, Managed: true, Ingress: x.Addresses, Condition: &x.Condition,
		})
		svc := status.Service{Namespace: namespace, Name: name, State: status.Waiting, Reason: x.Condition.Reason, Message: x.Condition.Message,
			Since: x.Condition.Since, Wants: status.Wants{Families: []string{"IPv4"}, Policy: "SingleStack", TrafficPolicy: "Cluster"}}
		if x.Condition.True {
			svc.State = status.Assigned
		}
		for _, a := range x.Addresses {
			svc.Addresses = append(svc.Addresses, status.Assignment{Address: a.String(), Pool: "lan"})
		}
		s.Services = append(s.Services, svc)
	}
	c.Controllers = []inspect.Controller{{Pod: inspect.Pod{Name: "controller-1", Node: "n1", Ready: true}, Says: &s}}
	for i := range in.Speakers {
		says := &in.Speakers[i]
		says.Time = noon
		c.Nodes = append(c.Nodes, inspect.Node{Node: cluster.Node{Name: says.Node}, Ready: true, Linux: true})
		speaker := inspect.Speaker{Pod: inspect.Pod{Name: "speaker-" + says.Node, Node: says.Node, Ready: says.Ready}}
		if speaker.Says = says; says.State == "" {
			speaker.Says, speaker.Silence = nil, "no answer in time"
		}
		c.Speakers = append(c.Speakers, speaker)
	}
	return Sight{Controller: s, Cluster: c}
}

// TestClusterPages compares the pages of the whole cluster with the file in testdata, whose first section describes the
// cluster. Each further section is named after the target of a request.
func TestClusterPages(t *testing.T) {
	const file = "testdata/cluster.txt"
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sight := sightOf(t, archive.Files[0].Data)
	sight.Events = func(_ context.Context, key cluster.Key) ([]inspect.Event, error) {
		if key.Name == "cart" {
			return nil, errors.New("no right to list them")
		}
		return []inspect.Event{{Last: noon.Add(-time.Minute), Type: "Normal", Reason: "Assigned", Message: "it has an address"}}, nil
	}
	h := Cluster(func(context.Context) Sight { return sight })
	for i := range archive.Files[1:] {
		section := &archive.Files[i+1]
		got := shown.Find(get(t, h, section.Name).Body.Bytes())
		if *update {
			section.Data = got
		} else if string(got) != string(section.Data) {
			t.Errorf("%s is another one than in %s (-update writes it):\n%s", section.Name, file, got)
		}
	}
	if *update {
		if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// throng returns a cluster with n Services on four nodes, of which n4 does not answer.
func throng(t testing.TB, n int) Sight {
	t.Helper()
	s := many(n)
	s.Kind, s.Connected = status.KindController, true
	c := &inspect.Cluster{At: s.Time, Config: inspect.Config{Known: true, Found: true, Config: &config.Config{}}}
	says := map[string]*status.Speaker{}
	for _, node := range []string{"n1", "n2", "n3", "n4"} {
		says[node] = &status.Speaker{State: "ready", Ready: true, Since: s.Time.Add(-time.Hour)}
		says[node].Node, says[node].Time = node, s.Time
		speaker := inspect.Speaker{Pod: inspect.Pod{Name: "speaker-" + node, Node: node, Ready: true}, Says: says[node]}
		if node == "n4" {
			speaker.Says, speaker.Silence = nil, "no answer in time"
		}
		c.Speakers = append(c.Speakers, speaker)
	}
	for i := range s.Services {
		x := &s.Services[i]
		svc := cluster.Service{
			Key: cluster.Key{Namespace: x.Namespace, Name: x.Name}, Managed: true,
			Condition: &cluster.Condition{True: x.State == status.Assigned, Reason: x.Reason, Message: x.Message},
		}
		for _, a := range x.Addresses {
			svc.Ingress = append(svc.Ingress, netip.MustParseAddr(a.Address))
			owner := says[fmt.Sprintf("n%d", i%3+1)]
			owner.Owned = append(owner.Owned, status.Owned{
				Address: a.Address, State: status.StateOwner, Since: s.Time.Add(-time.Duration(i) * time.Second), Reason: "new", Elected: owner.Node,
			})
		}
		c.Services = append(c.Services, svc)
	}
	return Sight{Controller: s, Cluster: c}
}

// TestSorting follows the links of the columns. The pages must be in the order of the column, in both directions, and
// the filter must stay.
func TestSorting(t *testing.T) {
	sight := throng(t, 300)
	h := Cluster(func(context.Context) Sight { return sight })
	cell := regexp.MustCompile(`(?s)<wbr>(service-\d+)</a></th>.*?data-label="Node">.*?(n\d|not known|</td>)`)
	list := func(target string) (names, nodes []string) {
		for _, m := range cell.FindAllStringSubmatch(get(t, h, target).Body.String(), -1) {
			names, nodes = append(names, m[1]), append(nodes, m[2])
		}
		return names, nodes
	}
	names, _ := list("/?sort=name&q=team-00")
	back, _ := list("/?sort=-name&q=team-00")
	if len(names) != 8 || names[0] != "service-0000" || len(back) != 8 || back[0] != names[7] {
		t.Errorf("by name %q, and reversed %q", names, back)
	}
	if _, nodes := list("/?sort=node"); len(nodes) != 100 || nodes[0] != "n1" || nodes[99] != "n2" {
		t.Errorf("by node: %q", nodes)
	}
	if names, _ := list("/?sort=since"); names[0] != "service-0000" {
		t.Errorf("the latest takeover is not the first: %q", names[:3])
	}
	if names, _ := list("/?sort=address"); !strings.HasSuffix(names[0], "9") {
		t.Errorf("Services without an address are not the first: %q", names[:3])
	}
	if names, nodes := list("/?node=n2"); len(names) != 90 || nodes[0] != "n2" || nodes[89] != "n2" {
		t.Errorf("the filter for n2 shows %d: %q", len(names), nodes)
	}
	text := get(t, h, "/?sort=node&q=team-00&pool=lan").Body.String()
	for _, want := range []string{
		`aria-sort="ascending"><a href="?pool=lan&amp;q=team-00&amp;sort=-node">`, `href="?pool=lan&amp;q=team-00&amp;sort=name"`,
		`<input type="hidden" name="sort" value="node">`, `<a class="tag" href="?q=team-00&amp;sort=node">`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if names, _ := list("/?sort=nothing"); len(names) != 100 {
		t.Errorf("an unknown column leaves %d rows", len(names))
	}
}

// TestMap checks that the map has each address once, on its node, with 2,000 Services.
func TestMap(t *testing.T) {
	sight := throng(t, 2000)
	h := Cluster(func(context.Context) Sight { return sight })
	text := get(t, h, "/map").Body.String()
	if n := strings.Count(text, `<a class="box owner"`); n != 1800 {
		t.Errorf("%d cells, want 1800", n)
	}
	if strings.Contains(text, "label\"") || !strings.Contains(text, "no answer in time") {
		t.Error("the cells of 1800 addresses have labels, or the silent speaker is missing")
	}
	text = get(t, h, "/map?q=10.0.0.").Body.String()
	if !strings.Contains(text, "of 1,800") {
		t.Error("the map ignores the filter")
	}
}

// TestBrokenPath shows a Service whose path is broken, with the last probe, as a Service that is not well.
func TestBrokenPath(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/cluster.txt")
	if err != nil {
		t.Fatal(err)
	}
	sight := sightOf(t, archive.Files[0].Data)
	sight.Cluster.Speakers[1].Says.Probes = []status.LastProbe{{
		Address: "192.0.2.1", At: noon.Add(-time.Minute), Node: "n1", Port: 80, Result: "refused",
		Details: &status.PathProbe{Service: "shop/cart", Port: 80, Node: "n1", Result: "refused", After: 700},
	}}
	text := get(t, Cluster(func(context.Context) Sight { return sight }), "/service?name=shop/cart").Body.String()
	for _, want := range []string{"Unreachable", "no program listens there", "refused after 0.7 ms", inspect.Docs + "runbooks/path-unreachable.md"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

// TestMissingService checks the answer for a Service that does not exist, and for a controller without the answers of
// the speakers.
func TestMissingService(t *testing.T) {
	sight := throng(t, 3)
	h := Cluster(func(context.Context) Sight { return sight })
	for target, want := range map[string]int{
		"/service?name=team-00/service-0000": 200, "/service?name=team-00/nothing": 404, "/service": 404, "/service?name=/": 404,
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
		if w.Code != want {
			t.Errorf("%s answers %d, want %d", target, w.Code, want)
		}
	}
	alone := Controller(func() status.Controller { return status.Controller{} }, nil)
	for _, target := range []string{"/", "/map", "/changes", "/service?name=a/b"} {
		if text := get(t, alone, target).Body.String(); !strings.Contains(text, "</html>") {
			t.Errorf("%s is not whole", target)
		}
	}
}

// TestOwnStatusNeedsNoLook checks that the status as JSON is there while all pages wait for a look: the look asks this
// process for its own status.
func TestOwnStatusNeedsNoLook(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	began, done := make(chan struct{}), make(chan struct{})
	h := Controller(func() status.Controller { return status.Controller{} }, func(ctx context.Context) *inspect.Cluster {
		began <- struct{}{}
		<-ctx.Done()
		return nil
	})
	const pages = atOnce + 2
	for range pages {
		go func() {
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx))
			done <- struct{}{}
		}()
	}
	for range pages {
		<-began
	}
	get(t, h, "/status.json")
	cancel()
	for range pages {
		<-done
	}
}

// TestClusterEscaping puts markup into every text that the speakers and the Services contain. The pages must show the
// markup as text.
func TestClusterEscaping(t *testing.T) {
	const evil = `"><b x='&`
	sight := throng(t, 12)
	spoil(reflect.ValueOf(&sight.Controller).Elem(), evil)
	for i := range sight.Cluster.Services {
		s := &sight.Cluster.Services[i]
		s.Key.Name, s.Condition.Reason, s.Condition.Message = evil, evil, evil
	}
	for i := range sight.Cluster.Speakers {
		s := &sight.Cluster.Speakers[i]
		s.Node, s.Silence, s.Name = evil, evil, evil
		if s.Says == nil {
			continue
		}
		owned := s.Says.Owned
		spoil(reflect.ValueOf(s.Says).Elem(), evil)
		for j := range owned {
			owned[j].Reason, owned[j].Elected = evil, evil
		}
		s.Says.Owned, s.Says.State = owned, evil
		for j := range s.Says.Changes {
			s.Says.Changes[j].Address, s.Says.Changes[j].Change = owned[0].Address, "gained"
		}
	}
	h := Cluster(func(context.Context) Sight { return sight })
	for _, target := range []string{
		"/", "/map", "/changes", "/service?name=" + url.QueryEscape("team-00/"+evil), "/service?name=" + url.QueryEscape(evil),
		"/?node=" + url.QueryEscape(evil) + "&pool=" + url.QueryEscape(evil) + "&sort=" + url.QueryEscape(evil),
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
		if text := w.Body.String(); strings.Contains(text, "<b x") || strings.Contains(text, `">"`) || !strings.Contains(text, "&lt;b x") {
			t.Errorf("%s shows markup as markup, or nothing:\n%s", target, text)
		}
	}
}

// BenchmarkCluster measures the pages with 2,000 Services.
func BenchmarkCluster(b *testing.B) {
	sight := throng(b, 2000)
	h := Cluster(func(context.Context) Sight { return sight })
	for _, target := range []string{"/", "/map", "/changes", "/service?name=team-00/service-0000"} {
		b.Run(target, func(b *testing.B) {
			for b.Loop() {
				h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, target, nil))
			}
		})
	}
}
