package browser

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/inspect"
	"github.com/lanlord/lanlord/pkg/page"
	"github.com/lanlord/lanlord/pkg/status"
)

// names are names of Services as people give them; the last has no place to break.
var names = [...]string{"frontend", "checkout-api", "inventory-search", "ingress-nginx-controller", "prometheus-kube-prometheus-alertmanager",
	"rabbitmq", "postgres-primary", "averyveryverylongnamewithoutanyhyphenthatnobodycanbreakanywhere"}

// whole is a cluster with n Services on six nodes. The speaker of the last node is not ready, and every 200th address has no
// endpoint. owner moves the address of the first Service.
func whole(n int, owner string) page.Sight {
	now := time.Now().UTC()
	s := crowd(n)
	s.Kind, s.Since, s.Time = status.KindController, now.Add(-26*time.Hour), now
	s.Pod, s.Version, s.Started = "controller-78ff4f4f75-fcc6f", "v0.2.0 (commit 3144024, go1.26)", s.Since
	s.Configuration = status.Configuration{Source: "lanlord-system/config", Hash: "9f2c41d07ab8", Loaded: s.Since}
	c := &inspect.Cluster{At: now, Namespace: "lanlord-system", GossipKeys: -1, Config: inspect.Config{Known: true, Found: true, Config: &config.Config{}}}
	says := []*status.Speaker{}
	for i := range 6 {
		node := fmt.Sprintf("rack%d-worker-%02d", i%2+1, i+1)
		x := &status.Speaker{State: "ready", Ready: true, Since: now.Add(-time.Duration(i+1) * time.Hour)}
		if i == 5 {
			x.Ready, x.State, x.NotReady = false, "joining", "no gossip key yet"
		}
		x.Node, x.Time = node, now
		says = append(says, x)
		c.Speakers = append(c.Speakers, inspect.Speaker{Pod: inspect.Pod{Name: "speaker-" + node, Node: node, Ready: x.Ready}, Says: x})
		c.Nodes = append(c.Nodes, inspect.Node{Node: cluster.Node{Name: node}, Ready: true, Linux: true})
	}
	for i := range s.Services {
		x := &s.Services[i]
		x.Name = fmt.Sprintf("%s-%d", names[i%len(names)], i)
		x.Namespace = fmt.Sprintf("team-%02d", i%40)
		svc := cluster.Service{Key: cluster.Key{Namespace: x.Namespace, Name: x.Name}, Managed: true, Condition: &cluster.Condition{
			True: x.State == status.Assigned, Reason: x.Reason, Message: x.Message, Since: now.Add(-time.Duration(i) * time.Minute)}}
		for _, a := range x.Addresses {
			svc.Ingress = append(svc.Ingress, netip.MustParseAddr(a.Address))
			place(says, a.Address, svc.Key.String(), owner, i, now)
		}
		c.Services = append(c.Services, svc)
	}
	slices.SortFunc(c.Services, func(x, y cluster.Service) int { return x.Key.Compare(y.Key) })
	return page.Sight{Controller: s, Cluster: c}
}

// place gives the address of the i-th Service to a node.
func place(says []*status.Speaker, address, service, owner string, i int, now time.Time) {
	at := says[i%5]
	for _, x := range says {
		if i == 1 && x.Node == owner {
			at = x
		}
	}
	for _, x := range says {
		switch {
		case i%200 == 77:
			x.Watched = append(x.Watched, status.Watched{Address: address, State: status.StateStandby, Reason: "NoEndpoints",
				Message: "no endpoint of the Service is ready or serving"})
		case x == at:
			since := now.Add(-time.Duration(i%90+1) * time.Minute)
			x.Owned = append(x.Owned, status.Owned{Address: address, State: status.StateOwner, Services: []string{service}, Since: since,
				Reason: []string{"new", "failback", "crash"}[i%3], Elected: x.Node, Interfaces: []string{"eth0"}})
			if i < 40 {
				x.Changes = append(x.Changes, status.Change{At: since, Address: address, Change: "gained", Reason: []string{"new", "failback", "crash"}[i%3],
					Peer: says[(i+1)%5].Node, After: int64(i%3/2) * 420})
			}
		default:
			x.Watched = append(x.Watched, status.Watched{Address: address, State: status.StateStandby, Elected: at.Node, Reason: "NotElected"})
		}
	}
}

// brokenNames lists the names that are longer than one line although a line has room for the longest word of the name: the browser
// breaks such a name inside a word.
const brokenNames = `[...document.querySelectorAll("tbody a[href*='service?'], tbody a[href*='node='], .timeline a")].filter(a => !a.matches(".box")).filter(a => {
  const line = parseFloat(getComputedStyle(a).lineHeight) || 21
  const words = a.innerText.split(/(?<=[-\/])/)
  const canvas = document.createElement("canvas").getContext("2d")
  canvas.font = getComputedStyle(a).font
  const widest = Math.max(...words.map(w => canvas.measureText(w).width))
  const room = a.parentElement.getBoundingClientRect().width
  const rects = [...a.getClientRects()]
  return widest < room - 4 && rects.some(r => r.width < widest - 4 && rects.length > words.length)
}).map(a => a.innerText).slice(0, 5)`

// TestClusterPage has the pages of a whole cluster with 2,000 Services shown, in light and dark, on a desk and on a phone. The user
// sorts, filters, follows the links to a Service and to the map, and sees an address move without a reload.
func TestClusterPage(t *testing.T) {
	var sight atomic.Pointer[page.Sight]
	show := func(owner string) {
		s := whole(2000, owner)
		sight.Store(&s)
	}
	show("rack1-worker-01")
	server := httptest.NewServer(page.Cluster(func(context.Context) page.Sight { return *sight.Load() }))
	defer server.Close()
	w := Open(t, 1280, 900)
	w.Visit(server.URL)
	took := w.Visit(server.URL)
	t.Logf("2,000 Services on 6 nodes: the page is there after %v", took.Round(time.Millisecond))
	if took > patience/2 {
		t.Errorf("the page took %v, which is too long even for a busy machine", took)
	}
	const first = `document.querySelector("table[aria-labelledby=services] tbody tr")`
	w.Await("the Service that waits first", first+`.innerText.includes("NoFreeAddress")`)
	w.Await("the node of an address", `[...document.querySelectorAll("table[aria-labelledby=services] tbody tr")].some(r => r.innerText.includes("rack2-worker-04"))`)

	follow := func(link string) {
		t.Helper()
		w.Visit(w.Texts(`[` + link + `.href]`)[0])
	}
	follow(`[...document.querySelectorAll("thead a")].find(a => a.innerText === "Service")`)
	w.Await("the order by name", `location.search === "?sort=name" && `+first+`.innerText.includes("team-00")`)
	w.Eval(`window.untouched = true`)
	w.Type("#q", "checkout-api-1 10.0.0.1")
	w.Await("the filter, with the order", `location.search.includes("sort=name") && document.querySelectorAll("table[aria-labelledby=services] tbody tr").length > 0 &&
		`+first+`.innerText.includes("checkout-api-1")`)
	show("rack1-worker-03")
	w.Await("the move of an address, without reload", `window.untouched && document.querySelector("#services").parentElement.innerText.includes("rack1-worker-03")`)

	looks := []struct{ name, path string }{
		{"overview", "/"}, {"filtered", "/?q=team-37&sort=state"}, {"map", "/map"}, {"labels", "/map?q=team-00"}, {"changes", "/changes"}, {"service", "/service?name=team-01/checkout-api-1"},
		{"trouble", "/service?name=team-37/rabbitmq-1877"},
	}
	for _, scheme := range []string{"light", "dark"} {
		w.Scheme(scheme)
		for _, size := range []struct {
			name          string
			width, height int64
		}{{"desk", 1280, 900}, {"phone", 375, 800}} {
			w.Resize(size.width, size.height)
			for _, look := range looks {
				w.Visit(server.URL + look.path)
				where := look.name + "-" + size.name + "-" + scheme
				if wide := w.Overflow(); len(wide) > 0 {
					t.Errorf("%s is wider than the screen: %q", where, wide)
				}
				if broken := w.Texts(brokenNames); len(broken) > 0 {
					t.Errorf("%s breaks names inside words: %q", where, broken)
				}
				if pale := w.Texts(paleTexts); len(pale) > 0 {
					t.Errorf("%s has texts with little contrast: %q", where, pale)
				}
				w.Shoot("cluster-" + where)
			}
		}
	}
	w.Resize(1280, 900)
	w.Visit(server.URL + "/map")
	w.Await("a cell for each address", `document.querySelectorAll(".cells a").length === 1999`)
	follow(`document.querySelector(".cells a")`)
	w.Await("the page of the Service", `location.pathname === "/service" && document.querySelector("#addresses") !== null`)
	if action := w.Texts(`[document.getElementById("filter").action]`); action[0] != server.URL+"/" {
		t.Errorf("the filter of a Service leads to %q", action)
	}
	if complaints := w.Complaints(); len(complaints) > 0 {
		t.Errorf("the browser complains: %q", complaints)
	}
}

// paleTexts lists texts with a contrast below 4.5 (WCAG 2.2, 1.4.3) to their background.
const paleTexts = `(() => {
  const parse = c => c.match(/[\d.]+/g).map(Number)
  const light = ([r, g, b]) => [r, g, b].map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4).reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0)
  const back = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c } return [255, 255, 255] }
  return [...document.querySelectorAll("body *")].filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) && e.tagName !== "SCRIPT" && !e.closest(".hidden, .skip") && e.offsetParent !== null).filter(e => {
    const a = light(parse(getComputedStyle(e).color)), b = light(back(e))
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5
  }).map(e => e.tagName + "." + e.className + ": " + e.innerText.slice(0, 30)).slice(0, 5)
})()`
