package membership

import (
	"bytes"
	"net/netip"
	"testing"
	"time"
)

// TestPath sends a question about a path to a member, and the answer back.
func TestPath(t *testing.T) {
	type question struct {
		by, from string
		PathQuestion
	}
	type answer struct {
		by, from string
		number   uint32
		there    bool
	}
	asked, answered := make(chan question, 10), make(chan answer, 10)
	c := newCluster(t)
	var nodes []*node
	for _, name := range []string{"a", "b", "d"} {
		nodes = append(nodes, c.run(Options{
			Name: name, Bind: netip.MustParseAddrPort("127.0.0.1:0"), Keys: [][]byte{testKey},
			PathAsked:    func(from string, q PathQuestion) { asked <- question{name, from, q} },
			PathAnswered: func(from string, number uint32, there bool) { answered <- answer{name, from, number, there} },
		}, func(*Membership) {}))
	}
	c.eventually("all know all", func() bool { return all(nodes, func(n *node) bool { return len(n.Members()) == 3 }) })
	q := PathQuestion{Number: 7, MAC: MAC{2, 0, 0, 0, 0, 1}, Service: netip.MustParseAddrPort("[2001:db8::80]:443"), Wait: 1200 * time.Millisecond}
	nodes[0].AskPath("a", q)
	nodes[0].AskPath("nobody", q)
	nodes[0].AskPath("d", q)
	if got := <-asked; got != (question{"d", "a", q}) {
		t.Errorf("asked %+v", got)
	}
	nodes[2].AnswerPath("a", 7, true)
	if got := <-answered; got != (answer{"a", "d", 7, true}) {
		t.Errorf("answered %+v", got)
	}
	for _, message := range [][]byte{{messagePathQuestion}, {messagePathAnswer, 1}, encodePathQuestion("", q), encodePathAnswer("", 7, true)} {
		before := nodes[1].refusals(refusedMalformed)
		delegate{nodes[1].Membership}.NotifyMsg(message)
		if nodes[1].refusals(refusedMalformed) != before+1 {
			t.Errorf("malformed message %x is not counted", message)
		}
	}
	delegate{nodes[1].Membership}.NotifyMsg(encodePathQuestion("b", q)) // with the name of the receiver
	if len(asked)+len(answered) != 0 {
		t.Errorf("%d questions and %d answers too many", len(asked), len(answered))
	}
}

func FuzzParsePathQuestion(f *testing.F) {
	f.Add(encodePathQuestion("node-1", PathQuestion{1, MAC{2}, netip.MustParseAddrPort("192.0.2.80:80"), time.Second}))
	f.Add(encodePathQuestion("node-1", PathQuestion{1, MAC{2}, netip.MustParseAddrPort("[2001:db8::80]:80"), time.Hour}))
	f.Add(encodePathQuestion("", PathQuestion{})) // no name, no port
	f.Fuzz(func(t *testing.T, message []byte) {
		name, q, err := parsePathQuestion(message)
		if err == nil && (!bytes.Equal(encodePathQuestion(name, q), message) || !q.Service.IsValid()) {
			t.Fatalf("%x is read as %q %+v", message, name, q)
		}
	})
}

func FuzzParsePathAnswer(f *testing.F) {
	f.Add(encodePathAnswer("node-1", 1, true))
	f.Add(encodePathAnswer("", 0, false)) // no name
	f.Fuzz(func(t *testing.T, message []byte) {
		name, number, there, err := parsePathAnswer(message)
		if err == nil && !bytes.Equal(encodePathAnswer(name, number, there), message) {
			t.Fatalf("%x is read as %q %d %v", message, name, number, there)
		}
	})
}
