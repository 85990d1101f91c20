package controller

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/kube"
	"github.com/lanlord/lanlord/pkg/reason"
)

var update = flag.Bool("update", false, "write the plans into the scenario files instead of comparing them")

// TestScenarios runs the scenarios in testdata. A scenario is a list of sections:
//
//	config      the document under the key of the ConfigMap; "none" if there has never been a valid document
//	change 10m  a new document, while the addresses of the previous document stay for 10m; "over" ends that delay
//	services    the actions of users: a line creates a Service, or changes its specification and leaves its status,
//	            see parseService; "delete ns/name" deletes a Service
//	namespaces  the complete list of namespaces with their labels: "shop team=web,stage=live"
//	network     the complete knowledge about the network: "node n1 10.0.0.2", "gateway 10.0.0.1 n1",
//	            "stranger 10.0.0.9 MAC", "conflict 10.0.0.9 MAC" (sorted), "subnet 10.0.0.0/24";
//	            "external n1 192.0.2.1" and "kernel n1 10.0.0.3" for the ExternalIP of a Node and for another address
//	            of its kernel; "other ns/name 10.0.0.4 CLASS" for a Service of another load-balancer class; and a
//	            claim like "Status 10.0.0.9 ns/name", with the text of cluster.ClaimedBy, and "ours" at the end for a
//	            Service of Lanlord
//	restart     a new controller starts, and knows only the cluster
//	wait 30s    time passes
//	plan        the result of Decide, which is applied before the next section
//
// After a plan was applied, the next plan must be empty, unless the next section is a plan too. Scenarios about
// addresses that move on to another Service use two plans in a row.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := newStory(t)
			for i := range archive.Files {
				section := &archive.Files[i]
				if section.Name != "plan" {
					s.play(section.Name, string(section.Data))
					continue
				}
				got := s.plan()
				if *update {
					section.Data = []byte(got)
				} else if want := string(section.Data); got != want {
					t.Errorf("plan %d is\n%swant\n%s", i, got, want)
				}
				if next := i + 1; next == len(archive.Files) || archive.Files[next].Name != "plan" {
					s.checkSettled()
				}
			}
			if *update {
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// story holds the cluster of one scenario.
type story struct {
	*testing.T
	snapshot cluster.Snapshot
	memory   memory
	ledger   ledger
	now      time.Time
	made     int
}

func newStory(t *testing.T) *story {
	return &story{T: t, memory: newMemory(), now: time.Unix(0, 0)}
}

func (s *story) play(name, text string) {
	switch verb, rest, _ := strings.Cut(name, " "); verb {
	case "config":
		s.snapshot.Config = nil
		if strings.TrimSpace(text) != "none" {
			cfg, err := config.Parse([]byte(text))
			if err != nil {
				s.Fatal(err)
			}
			s.snapshot.Config = cfg
		}
	case "change":
		delay, err := time.ParseDuration(rest)
		if err != nil {
			s.Fatal(err)
		}
		was := s.snapshot.Config
		s.play("config", text)
		s.snapshot.Config = s.snapshot.Config.WithPast(append([]config.Past{{Config: was, Until: s.now.Add(delay)}}, was.Past...))
	case "over":
		s.snapshot.Config = s.snapshot.Config.WithPast(nil)
	case "wait":
		d, err := time.ParseDuration(rest)
		if err != nil {
			s.Fatal(err)
		}
		s.now = s.now.Add(d)
	case "restart":
		s.memory = newMemory()
	case "namespaces":
		s.snapshot.Namespaces = nil
		for line := range strings.Lines(text) {
			name, labels, _ := strings.Cut(strings.TrimSpace(line), " ")
			s.snapshot.Namespaces = append(s.snapshot.Namespaces, cluster.Namespace{Name: name, Labels: s.labels(labels)})
		}
	case "network":
		s.snapshot.Nodes, s.snapshot.Taken, s.snapshot.Subnets, s.snapshot.Conflicts = nil, nil, nil, nil
		s.snapshot.Claims = nil
		s.snapshot.Others = nil
		for line := range strings.Lines(text) {
			s.network(s.words(line))
		}
	case "services":
		for line := range strings.Lines(text) {
			if words := s.words(line); len(words) > 0 {
				s.service(words)
			}
		}
		s.decide()
	default:
		s.Fatalf("unknown section %q", name)
	}
}

func (s *story) network(words []string) {
	switch words[0] {
	case "node":
		s.snapshot.Nodes = append(s.snapshot.Nodes, cluster.Node{Name: words[1], Addresses: s.addrs(words[2])})
	case "external":
		s.snapshot.Nodes = append(s.snapshot.Nodes, cluster.Node{Name: words[1], External: s.addrs(words[2])})
		s.snapshot.Claims = append(s.snapshot.Claims,
			cluster.Claim{Addr: s.addrs(words[2])[0], By: cluster.ClaimedByNode, Holder: cluster.Key{Name: words[1]}})
	case "kernel":
		s.snapshot.Taken = append(s.snapshot.Taken, cluster.Taken{Addr: s.addrs(words[2])[0], By: cluster.TakenByNode, Name: words[1]})
	case "other":
		namespace, name, _ := strings.Cut(words[1], "/")
		s.snapshot.Others = append(s.snapshot.Others, &cluster.Service{
			Key: cluster.Key{Namespace: namespace, Name: name}, Ingress: s.addrs(words[2]), Class: words[3],
		})
		for _, a := range s.addrs(words[2]) {
			s.snapshot.Claims = append(s.snapshot.Claims,
				cluster.Claim{Addr: a, By: cluster.ClaimedByStatus, Holder: cluster.Key{Namespace: namespace, Name: name}})
		}
	case "gateway":
		s.snapshot.Taken = append(s.snapshot.Taken, cluster.Taken{Addr: s.addrs(words[1])[0], By: cluster.TakenByGateway, Name: words[2]})
	case "stranger":
		s.snapshot.Taken = append(s.snapshot.Taken, cluster.Taken{Addr: s.addrs(words[1])[0], By: cluster.TakenByStranger, Name: words[2]})
	case "conflict":
		s.snapshot.Conflicts = append(s.snapshot.Conflicts, cluster.Stranger{Addr: s.addrs(words[1])[0], MAC: words[2]})
	case "subnet":
		s.snapshot.Subnets = append(s.snapshot.Subnets, netip.MustParsePrefix(words[1]))
	default:
		s.claim(words)
	}
}

// claim parses a claim.
func (s *story) claim(words []string) {
	for by := cluster.ClaimedByStatus; by <= cluster.ClaimedByGateway; by++ {
		if by.String() != words[0] {
			continue
		}
		namespace, name, ok := strings.Cut(words[2], "/")
		if !ok {
			namespace, name = "", words[2]
		}
		s.snapshot.Claims = append(s.snapshot.Claims, cluster.Claim{
			Addr: s.addrs(words[1])[0], By: by, Holder: cluster.Key{Namespace: namespace, Name: name}, Managed: len(words) > 3,
		})
		slices.SortFunc(s.snapshot.Claims, cluster.Claim.Compare)
		return
	}
	s.Fatalf("unknown word %q", words[0])
}

// labels parses "a=b,c=d".
func (s *story) labels(text string) map[string]string {
	all := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		if name, value, ok := strings.Cut(pair, "="); ok {
			all[name] = value
		}
	}
	return all
}

// ports parses "TCP/80,UDP/53".
func (s *story) ports(text string) []cluster.Port {
	var all []cluster.Port
	for port := range strings.SplitSeq(text, ",") {
		protocol, number, _ := strings.Cut(port, "/")
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			s.Fatal(err)
		}
		all = append(all, cluster.Port{
			Protocol: map[string]cluster.Protocol{"TCP": cluster.TCP, "UDP": cluster.UDP, "SCTP": cluster.SCTP}[protocol],
			Number:   uint16(n)})
	}
	slices.SortFunc(all, cluster.Port.Compare)
	return all
}

// words splits a line at blanks outside quotes.
func (s *story) words(line string) []string {
	var words []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		word, err := strconv.QuotedPrefix(line)
		if err != nil {
			word, _, _ = strings.Cut(line, " ")
		}
		line = line[len(word):]
		if plain, err := strconv.Unquote(word); err == nil {
			word = plain
		}
		words = append(words, word)
	}
	return words
}

func (s *story) service(words []string) {
	deleted := words[0] == "delete"
	if deleted {
		words = words[1:]
	}
	namespace, name, _ := strings.Cut(words[0], "/")
	key := cluster.Key{Namespace: namespace, Name: name}
	i, known := slices.BinarySearchFunc(s.snapshot.Services, key, func(svc *cluster.Service, k cluster.Key) int { return svc.Key.Compare(k) })
	s.snapshot.Services = slices.Clone(s.snapshot.Services)
	if deleted {
		s.snapshot.Services = slices.Delete(s.snapshot.Services, i, i+1)
		return
	}
	if !known {
		s.made++
		s.snapshot.Services = slices.Insert(s.snapshot.Services, i, &cluster.Service{
			Key: key, UID: fmt.Sprint("uid-", s.made), Created: s.now.Add(time.Duration(s.made) * time.Millisecond),
		})
	}
	old := s.snapshot.Services[i]
	changed := s.parseService(words[1:], cluster.Service{
		Key: key, UID: old.UID, Created: old.Created, Managed: true, Families: []cluster.Family{cluster.IPv4},
		Ingress: old.Ingress, ForeignIngress: old.ForeignIngress, AllocatedFrom: old.AllocatedFrom, Condition: old.Condition,
		Conflict: old.Conflict, Assignment: old.Assignment, AssignmentProblem: old.AssignmentProblem,
	})
	s.snapshot.Services[i] = &changed
}

// parseService parses the text after the name of a Service:
//
//	IPv4 | IPv6 | IPv4,IPv6 ...   the families; IPv4 by default
//	prefer | require              the family policy; single stack by default
//	requests ADDR[,ADDR]          the requested addresses
//	pool NAME                     the requested pool
//	external ADDR[,ADDR]          spec.externalIPs
//	gateway ns/name ADDR[,ADDR]   the Gateway that the Service was generated for, and spec.addresses of that
//	                              Gateway; none for no address
//	problem "..."                 the problem of the request
//	preference-problem "..."      the problem of the preferred node
//	labels a=b,c=d                the labels
//	shares KEY TCP/80,UDP/53      the sharing key and the ports
//	local SELECTOR                externalTrafficPolicy Local, and this selector
//	unmanaged                     the Service is not of our type or class
//	status ADDR[,ADDR] | none     the status, as written by somebody else
//	hostname                      the status also has a hostname
//	from NAMES                    our annotation with the pools
//	record none | `...`           the record in our annotation lanlord.io/assignment, as written by somebody else
//	condition REASON "..."        our condition
func (s *story) parseService(words []string, svc cluster.Service) cluster.Service {
	next := func() string {
		if len(words) == 0 {
			s.Fatalf("%s: a word is missing", svc.Key)
		}
		word := words[0]
		words = words[1:]
		return word
	}
	for len(words) > 0 {
		switch word := next(); word {
		case "prefer":
			svc.FamilyPolicy = cluster.PreferDualStack
		case "require":
			svc.FamilyPolicy = cluster.RequireDualStack
		case "requests":
			svc.Requested = s.addrs(next())
		case "pool":
			svc.RequestedPool = next()
		case "external":
			svc.ExternalIPs = s.addrs(next())
		case "gateway":
			namespace, name, _ := strings.Cut(next(), "/")
			svc.Gateway, svc.GatewayAddresses = cluster.Key{Namespace: namespace, Name: name}, s.addrs(next())
		case "problem":
			svc.RequestProblem = next()
			svc.RequestValue = svc.RequestProblem
		case "preference-problem":
			svc.PreferNodeProblem = next()
			svc.PreferNodeValue = svc.PreferNodeProblem
		case "labels":
			svc.Labels = s.labels(next())
		case "shares":
			svc.SharingKey = next()
			svc.Ports = s.ports(next())
		case "local":
			svc.TrafficPolicy, svc.Selector = cluster.TrafficLocal, next()
		case "unmanaged":
			svc.Managed = false
		case "status":
			svc.Ingress = s.addrs(next())
		case "hostname":
			svc.ForeignIngress = true
		case "from":
			svc.AllocatedFrom = next()
		case "record":
			svc.Assignment, svc.AssignmentProblem = nil, ""
			if text := next(); text != "none" {
				var err error
				if svc.Assignment, err = kube.ParseAssignment(text); err != nil {
					svc.AssignmentProblem = err.Error()
				}
			}
		case "condition":
			word := next()
			svc.Condition = &cluster.Condition{True: word == reason.Assigned.String(), Reason: word, Message: next()}
		default:
			svc.Families = nil
			for f := range strings.SplitSeq(word, ",") {
				family, ok := map[string]cluster.Family{"IPv4": cluster.IPv4, "IPv6": cluster.IPv6}[f]
				if !ok {
					s.Fatalf("%s: unknown word %q", svc.Key, word)
				}
				svc.Families = append(svc.Families, family)
			}
		}
	}
	return svc
}

func (s *story) addrs(text string) []netip.Addr {
	var addrs []netip.Addr
	for a := range strings.SplitSeq(text, ",") {
		if text == "none" {
			return nil
		}
		addr, err := netip.ParseAddr(a)
		if err != nil {
			s.Fatal(err)
		}
		addrs = append(addrs, addr)
	}
	return addrs
}

// decide decides as the loop does, with the current cool-downs.
func (s *story) decide() Plan {
	s.memory.observe(s.snapshot.Services, s.now)
	var delay time.Duration
	if s.snapshot.Config != nil {
		delay = s.snapshot.Config.Allocation.ReleaseDelay
	}
	resting := s.memory.resting(s.now, delay)
	plan := Decide(s.snapshot, resting)
	if got := s.ledger.decide(s.snapshot, resting); !reflect.DeepEqual(got, plan) {
		s.Errorf("of those that are not settled:\n%sof all:\n%s", got.text(), plan.text())
	}
	return plan
}

func (s *story) plan() string {
	p := s.decide()
	s.snapshot.Services = applied(s.snapshot.Services, p.Updates, s.now)
	return p.text()
}

func (s *story) checkSettled() {
	if p := s.decide(); len(p.Updates) > 0 {
		s.Errorf("the plan was applied, and yet there is to do:\n%s", p.text())
	}
}

// applied returns the Services after the updates were written.
func applied(services []*cluster.Service, updates []cluster.Update, now time.Time) []*cluster.Service {
	services = slices.Clone(services)
	for _, u := range updates {
		i := slices.IndexFunc(services, func(svc *cluster.Service) bool { return svc.Key == u.Key })
		svc := *services[i]
		write(&svc, u, now)
		svc.Version += "'"
		services[i] = &svc
	}
	return slices.DeleteFunc(services, func(svc *cluster.Service) bool {
		return !svc.Managed && !svc.Marked()
	})
}

// write applies an Update to a Service, but does not change the version of the Service.
func write(svc *cluster.Service, u cluster.Update, now time.Time) {
	if !u.KeepIngress {
		svc.Ingress, svc.ForeignIngress = u.Ingress, false
	}
	svc.AllocatedFrom, svc.Assignment, svc.AssignmentProblem = u.AllocatedFrom, u.Assignment, ""
	svc.Condition, svc.Conflict = since(svc.Condition, u.Condition, now), since(svc.Conflict, u.Conflict, now)
}

// since returns the condition after is has replaced was.
func since(was, is *cluster.Condition, now time.Time) *cluster.Condition {
	if is == nil {
		return nil
	}
	condition := *is
	condition.Since = now.Truncate(time.Second)
	if was != nil && was.True == condition.True {
		condition.Since = was.Since
	}
	return &condition
}

// text returns a plan in the format of the scenarios.
func (p Plan) text() string {
	var text strings.Builder
	for _, u := range p.Updates {
		fmt.Fprintf(&text, "%s:", u.Key)
		for _, a := range u.Ingress {
			fmt.Fprintf(&text, " %s", a)
		}
		switch {
		case u.KeepIngress:
			text.WriteString(" as it is")
		case len(u.Ingress) == 0:
			text.WriteString(" nothing")
		}
		if u.AllocatedFrom != "" {
			fmt.Fprintf(&text, " of %s", u.AllocatedFrom)
		}
		text.WriteString("\n")
		if u.Assignment != nil {
			record, err := kube.FormatAssignment(u.Assignment)
			if err != nil {
				record = err.Error()
			}
			fmt.Fprintf(&text, "    record %s\n", record)
		}
		writeEvents(&text, "first ", u.Before)
		if c := u.Condition; c != nil {
			fmt.Fprintf(&text, "    %t %s: %s\n", c.True, c.Reason, c.Message)
		}
		if c := u.Conflict; c != nil {
			fmt.Fprintf(&text, "    %t %s: %s\n", c.True, c.Reason, c.Message)
		}
		writeEvents(&text, "", u.Events)
	}
	if len(p.Updates) == 0 {
		text.WriteString("nothing to do\n")
	}
	for _, u := range p.Pools {
		fmt.Fprintf(&text, "pool %s has %d of %.0f %s in use", u.Pool, u.Used, u.Size, u.Family)
		if u.Resting > 0 {
			fmt.Fprintf(&text, ", %d resting", u.Resting)
		}
		text.WriteString("\n")
	}
	return text.String()
}

func writeEvents(text *strings.Builder, when string, events []cluster.Event) {
	for _, e := range events {
		kind := "normal"
		if e.Warning {
			kind = "warning"
		}
		fmt.Fprintf(text, "    %s%s Event %s: %s\n", when, kind, e.Reason, e.Message)
	}
}
