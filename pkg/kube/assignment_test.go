package kube

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/lanlord/lanlord/pkg/cluster"
	reasons "github.com/lanlord/lanlord/pkg/reason"
)

// records lists records of every kind, each with its text. The text is a contract: users and later versions read the
// text.
var records = []struct {
	name   string
	record cluster.Assignment
	text   string
}{
	{"empty", cluster.Assignment{}, `{"format":1}`},
	{"an address",
		cluster.Assignment{Addresses: []cluster.AssignedAddress{{Addr: netip.MustParseAddr("10.0.0.1"), Pool: "lan"}}},
		`{"format":1,"addresses":[{"address":"10.0.0.1","pool":"lan"}]}`},
	{"two pools, shared", cluster.Assignment{
		Addresses: []cluster.AssignedAddress{
			{Addr: netip.MustParseAddr("fd00::1"), Pool: "v6"}, {Addr: netip.MustParseAddr("10.0.0.1"), Pool: "<v4>"},
		},
		Sharing: cluster.Sharing{
			Key: "k", Ports: []cluster.Port{{Number: 53}, {Protocol: cluster.UDP, Number: 53}, {Protocol: cluster.SCTP, Number: 9}},
			TrafficPolicy: cluster.TrafficLocal, Selector: "a=1",
		},
	}, `{"format":1,"addresses":[{"address":"fd00::1","pool":"v6"},{"address":"10.0.0.1","pool":"<v4>"}],` +
		`"sharing":{"key":"k","ports":["TCP/53","UDP/53","SCTP/9"],"externalTrafficPolicy":"Local","selector":"a=1"}}`},
	{"waiting", cluster.Assignment{
		Problems: []cluster.Problem{
			{Reason: reasons.NoFreeAddress, Family: cluster.IPv4, Full: []string{"a", "b"}},
			{Reason: reasons.AddressInUse, Addr: netip.MustParseAddr("fd00::1"), By: "default/web", Unshared: reasons.SamePort},
			{Reason: reasons.UnknownPool, Pool: "nope"},
		},
		IgnoredNode: "not a name",
	}, `{"format":1,"problems":[{"reason":"NoFreeAddress","family":"IPv4","full":["a","b"]},` +
		`{"reason":"AddressInUse","address":"fd00::1","by":"default/web","unshared":"SamePort"},` +
		`{"reason":"UnknownPool","pool":"nope"}],"ignoredNode":"not a name"}`},
	{"in conflict", cluster.Assignment{
		Addresses: []cluster.AssignedAddress{{Addr: netip.MustParseAddr("10.0.0.1"), Pool: "lan"}},
		Conflicts: []cluster.Conflict{{Addr: netip.MustParseAddr("10.0.0.1"), MACs: []string{"02:00:00:00:00:09"}}},
	}, `{"format":1,"addresses":[{"address":"10.0.0.1","pool":"lan"}],` +
		`"conflicts":[{"address":"10.0.0.1","macs":["02:00:00:00:00:09"]}]}`},
	{"claimed, and lost another one", cluster.Assignment{
		Addresses: []cluster.AssignedAddress{{Addr: netip.MustParseAddr("10.0.0.1"), Pool: "lan"}},
		Conflicts: []cluster.Conflict{{Addr: netip.MustParseAddr("10.0.0.1"), Claims: []string{"is an ExternalIP of Node n1"}}},
		Former:    []netip.Addr{netip.MustParseAddr("fd00::1")},
	}, `{"format":1,"addresses":[{"address":"10.0.0.1","pool":"lan"}],` +
		`"conflicts":[{"address":"10.0.0.1","claims":["is an ExternalIP of Node n1"]}],"former":["fd00::1"]}`},
}

func TestAssignmentText(t *testing.T) {
	for _, c := range records {
		text, err := FormatAssignment(&c.record)
		if err != nil || text != c.text {
			t.Errorf("%s is written as\n%s, %v\nwant\n%s", c.name, text, err, c.text)
		}
		got, err := ParseAssignment(c.text)
		if err != nil || !got.Equal(&c.record) || !reflect.DeepEqual(*got, c.record) {
			t.Errorf("%s is read as\n%+v, %v\nwant\n%+v", c.name, got, err, c.record)
		}
	}
}

// TestEveryReasonCanBeRecorded checks that the parser knows every reason that the controller may record.
func TestEveryReasonCanBeRecorded(t *testing.T) {
	for _, why := range reasons.Assignments()[1:] {
		for _, unshared := range reasons.UnsharedReasons() {
			record := cluster.Assignment{Problems: []cluster.Problem{{Reason: why, Unshared: unshared}}}
			text, err := FormatAssignment(&record)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := ParseAssignment(text); err != nil || !got.Equal(&record) {
				t.Errorf("%s is read as %+v, %v", text, got, err)
			}
		}
	}
}

func TestParseAssignmentRefuses(t *testing.T) {
	const good = `{"format":1,"addresses":[{"address":"10.0.0.1","pool":"lan"}]}`
	for name, text := range map[string]string{
		"nothing":             "",
		"no JSON":             "10.0.0.1 from pool lan",
		"null":                "null",
		"half":                good[:len(good)-2],
		"text after it":       good + good,
		"a blank":             good + " ",
		"another order":       `{"addresses":[{"address":"10.0.0.1","pool":"lan"}],"format":1}`,
		"a field twice":       `{"format":1,"format":1}`,
		"a later format":      `{"format":2}`,
		"an unknown field":    `{"format":1,"owner":"me"}`,
		"another type":        `{"format":"1"}`,
		"no address":          `{"format":1,"addresses":[{"address":"lan","pool":"lan"}]}`,
		"an address twice":    `{"format":1,"addresses":[{"address":"10.0.0.1","pool":"a"},{"address":"10.0.0.1","pool":"b"}]}`,
		"another spelling":    `{"format":1,"addresses":[{"address":"fd00:0::1","pool":"lan"}]}`,
		"a zone":              `{"format":1,"addresses":[{"address":"fe80::1%eth0","pool":"lan"}]}`,
		"IPv4 in IPv6":        `{"format":1,"addresses":[{"address":"::ffff:10.0.0.1","pool":"lan"}]}`,
		"no pool":             `{"format":1,"addresses":[{"address":"10.0.0.1","pool":""}]}`,
		"no key":              `{"format":1,"sharing":{"key":"","externalTrafficPolicy":"Local"}}`,
		"a policy":            `{"format":1,"sharing":{"key":"k","externalTrafficPolicy":"Global"}}`,
		"a protocol":          `{"format":1,"sharing":{"key":"k","ports":["ICMP/1"],"externalTrafficPolicy":"Local"}}`,
		"a port":              `{"format":1,"sharing":{"key":"k","ports":["TCP/65536"],"externalTrafficPolicy":"Local"}}`,
		"a port's spelling":   `{"format":1,"sharing":{"key":"k","ports":["TCP/080"],"externalTrafficPolicy":"Local"}}`,
		"unsorted ports":      `{"format":1,"sharing":{"key":"k","ports":["TCP/80","TCP/53"],"externalTrafficPolicy":"Local"}}`,
		"an unknown reason":   `{"format":1,"problems":[{"reason":"Whim"}]}`,
		"no problem":          `{"format":1,"problems":[{"reason":"Assigned"}]}`,
		"an unknown family":   `{"format":1,"problems":[{"reason":"NoPool","family":"IPv5"}]}`,
		"a problem's address": `{"format":1,"problems":[{"reason":"AddressInUse","address":"ten"}]}`,
		"unshared":            `{"format":1,"problems":[{"reason":"AddressInUse","unshared":"Whim"}]}`,
		"a strange conflict":  `{"format":1,"conflicts":[{"address":"10.0.0.1","macs":["02:00:00:00:00:09"]}]}`,
		"no MAC address": `{"format":1,"addresses":[{"address":"10.0.0.1","pool":"lan"}],` +
			`"conflicts":[{"address":"10.0.0.1","macs":[]}]}`,
		"no claim": `{"format":1,"addresses":[{"address":"10.0.0.1","pool":"lan"}],` +
			`"conflicts":[{"address":"10.0.0.1"}]}`,
		"a former address": `{"format":1,"former":["ten"]}`,
		"too long":         `{"format":1,"ignoredNode":"` + strings.Repeat("x", maxAssignment) + `"}`,
	} {
		if got, err := ParseAssignment(text); err == nil {
			t.Errorf("%s: %s is read as %+v", name, text, got)
		}
	}
}

// FuzzParseAssignment checks that FormatAssignment restores the text of every parsed record.
func FuzzParseAssignment(f *testing.F) {
	for _, c := range records {
		f.Add(c.text)
	}
	f.Add(`{"format":1,"addresses":[{"address":"10.0.0.1","pool":"\u00e9"}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		record, err := ParseAssignment(text)
		if err != nil {
			return
		}
		if again, err := FormatAssignment(record); err != nil || again != text {
			t.Errorf("%q is written again as %q, %v", text, again, err)
		}
		for _, a := range record.Addresses {
			if !record.Has(a.Addr) || record.PoolOf(a.Addr) != a.Pool {
				t.Errorf("%q: %s is not found", text, a.Addr)
			}
		}
	})
}

// TestWriteAssignment checks that Write writes the record together with the status in one request, that the next
// snapshot has the record, and that Write also removes a record that a change by hand has made unreadable.
func TestWriteAssignment(t *testing.T) {
	api := newFakeAPI(service("s"))
	inBubble(t, api, func(t *testing.T, s *Store, wakes *counter, _ *lines) {
		seen := func() *cluster.Service { return s.Snapshot().Services[0] }
		write := func(record *cluster.Assignment, ips ...string) {
			t.Helper()
			u := assign(seen(), ips...)
			u.Assignment = record
			if err := s.Write(t.Context(), u); err != nil {
				t.Fatal(err)
			}
			wakes.take()
		}
		record := &records[1].record
		write(record, "10.0.0.1")
		if got := api.stored("s").Annotations[AssignmentAnnotation]; got != records[1].text {
			t.Errorf("the annotation is %s, want %s", got, records[1].text)
		}
		if got := seen(); !got.Assignment.Equal(record) || got.AssignmentProblem != "" || !got.Assignment.Has(got.Ingress[0]) {
			t.Errorf("the Service is seen with the record %+v, %s", got.Assignment, got.AssignmentProblem)
		}
		write(nil)
		if text, there := api.stored("s").Annotations[AssignmentAnnotation]; there || seen().Assignment != nil {
			t.Errorf("the record %s is still there", text)
		}
	})

	edited := service("s")
	edited.Annotations = map[string]string{AssignmentAnnotation: "mine"}
	row, ours := convertService(edited, "")
	if !ours || row.service.Assignment != nil || row.service.AssignmentProblem == "" || !row.service.Marked() {
		t.Errorf("an unreadable record is seen as %+v, %q", row.service.Assignment, row.service.AssignmentProblem)
	}
	patch, err := statusPatch(cluster.Update{Key: row.service.Key}, &row, edited.CreationTimestamp.Time)
	if err != nil || !strings.Contains(string(patch), `"`+AssignmentAnnotation+`":null`) {
		t.Errorf("the patch %s, %v leaves an unreadable record", patch, err)
	}
}
