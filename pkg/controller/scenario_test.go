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

// TestScenarios plays the stories in testdata. A story is a list of sections:
//
//	config      the document under the ConfigMap's key; "none" when there has never been a valid one
//	services    what users do: a line makes a Service, or changes its specification and leaves its status, see parseService;
//	            "delete ns/name" deletes one
//	namespaces  the namespaces with their labels, all there are: "shop team=web,stage=live"
//	network     what is known of the network, all of it: "node n1 10.0.0.2", "gateway 10.0.0.1 n1", "stranger 10.0.0.9 MAC",
//	            "conflict 10.0.0.9 MAC" (sorted), "subnet 10.0.0.0/24", and a claim as "Status 10.0.0.9 ns/name", with the word of
//	            cluster.ClaimedBy; "ours" after it for a Service of Lanlord
//	restart     the controller starts anew, and knows nothing but the cluster
//	wait 30s    time passes
//	plan        what Decide says now; it is applied before the next section
//
// Besides, a plan must be empty when it is asked for again after it was applied, unless the story's next section asks for
// it, which is for stories about addresses that are handed on.
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

// story is the cluster of one scenario.
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

// claim reads a claim.
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

// labels reads "a=b,c=d".
func (s *story) labels(text string) map[string]string {
	all := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		if name, value, ok := strings.Cut(pair, "="); ok {
			all[name] = value
		}
	}
	return all
}

// ports reads "TCP/80,UDP/53".
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

// words splits a line at blanks, outside quotes.
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

// parseService reads what follows a Service's name:
//
//	IPv4 | IPv6 | IPv4,IPv6 ...   its families; IPv4 if there is none
//	prefer | require              its family policy; single stack if there is none
//	requests ADDR[,ADDR]          the addresses that it requests
//	pool NAME                     the pool that it requests
//	external ADDR[,ADDR]          its spec.externalIPs
//	gateway ns/name ADDR[,ADDR]   the Gateway that it was generated for, and spec.addresses of the Gateway, none for no address
//	problem "..."                 what is wrong with its request
//	preference-problem "..."      what is wrong with the node that it prefers
//	labels a=b,c=d                its labels
//	shares KEY TCP/80,UDP/53      its sharing key and its ports
//	local SELECTOR                it has externalTrafficPolicy Local, and this selector
//	unmanaged                     it is not of our type or class
//	status ADDR[,ADDR] | none     its status, as somebody has written it
//	hostname                      its status has a hostname too
//	from NAMES                    our annotation
//	record none | `...`           the record in our annotation lanlord.io/assignment, as somebody has written it
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

// decide decides as the loop does, with what is resting now.
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

// applied returns the Services as they are when the updates were written.
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

// write does to a Service what an Update says, but for its version.
func write(svc *cluster.Service, u cluster.Update, now time.Time) {
	if !u.KeepIngress {
		svc.Ingress, svc.ForeignIngress = u.Ingress, false
	}
	svc.AllocatedFrom, svc.Assignment, svc.AssignmentProblem = u.AllocatedFrom, u.Assignment, ""
	svc.Condition, svc.Conflict = since(svc.Condition, u.Condition, now), since(svc.Conflict, u.Conflict, now)
}

// since returns what the condition was becomes when is is written.
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

// text writes a plan as the scenarios have it.
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
