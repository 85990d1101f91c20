package membership

import (
	"context"
	"math"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// memberlist sends news (suspicions, refutations, deaths, new metadata) at each gossipInterval, and with each ping and
// answer. At rest a short interval is only a cost. So gossipInterval is long, and this member pings other members as
// soon as it has news itself: the pings carry the news. News in a message of another member that changes no member wait
// for the next ping or interval.
const (
	// carryDelay is the time from a sign of news to the first pings: memberlist tells of most news before it queues
	// them. News of several members in this time share the pings.
	carryDelay = 5 * time.Millisecond
	// carryInterval is the interval between the rounds of pings, and carryFanout the number of pings in a round.
	carryInterval = 50 * time.Millisecond
	carryFanout   = 3
)

// news collects the signs of news. The goroutines of memberlist call its methods under the lock of memberlist.
type news struct {
	wake chan struct{}
	// mu guards concerned, because several goroutines call.
	mu sync.Mutex
	// concerned holds the names of members to which the news must go first.
	concerned []string
}

func newNews() news { return news{wake: make(chan struct{}, 1)} }

// note notes that memberlist has news, or will have news at once. name is the name of a member to which the news must
// go first, or empty.
func (n *news) note(name string) {
	if name != "" {
		n.mu.Lock()
		if len(n.concerned) < carryFanout && !slices.Contains(n.concerned, name) {
			n.concerned = append(n.concerned, name)
		}
		n.mu.Unlock()
	}
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// take returns the names of the members to which the news must go first.
func (n *news) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	names := n.concerned
	n.concerned = nil
	return names
}

// newsIn reports whether a line of memberlist tells of news about this member, or of news that this member has found. name
// is the member that should receive the news first: a suspected member, which can then contradict, or a member that
// suspects this member.
func newsIn(text string) (name string, is bool) {
	if rest, found := strings.CutPrefix(text, "Suspect "); found {
		name, _, is = strings.Cut(rest, " has failed")
		return name, is
	}
	for _, refuting := range []string{"Refuting a suspect message (from: ", "Refuting a dead message (from: "} {
		if rest, found := strings.CutPrefix(text, refuting); found {
			return strings.TrimSuffix(rest, ")"), true
		}
	}
	return "", strings.HasPrefix(text, "Refuting an alive message") || strings.HasPrefix(text, "Marking ")
}

// carry pings other members whenever there are news, until ctx ends.
func (m *Membership) carry(ctx context.Context, list *memberlist.Memberlist) {
	var pings sync.WaitGroup
	defer pings.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.news.wake:
			m.carrySeries(ctx, list, &pings)
		}
	}
}

// carrySeries pings in rounds: as many members as memberlist sends the same news to. Later news begin the series again.
func (m *Membership) carrySeries(ctx context.Context, list *memberlist.Memberlist, pings *sync.WaitGroup) {
	var first []string
	pause, left := carryDelay, 0
	for fresh := true; fresh || left > 0; left-- {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		select {
		case <-m.news.wake:
			fresh = true
		default:
		}
		others := m.others()
		if fresh {
			first, left = m.news.take(), carryRounds(len(others))
		}
		for _, to := range chosen(others, first) {
			// Nobody waits for the answer, and a missing answer means nothing here.
			pings.Go(func() { _, _ = list.Ping(to.Name, net.UDPAddrFromAddrPort(to.Addr)) })
		}
		pause, fresh = carryInterval, false
	}
}

// others returns the other members, in a new slice.
func (m *Membership) others() []Member {
	return slices.DeleteFunc(slices.Clone(m.Members()), func(o Member) bool { return o.Name == m.options.Name })
}

// carryRounds returns the number of rounds in which all messages about one change go out: memberlist sends a message
// retransmitMult times the decimal logarithm of the number of members, rounded up.
func carryRounds(others int) int {
	if others == 0 {
		return 1
	}
	messages := retransmitMult * int(math.Ceil(math.Log10(float64(others+2))))
	fanout := min(carryFanout, others)
	return (messages + fanout - 1) / fanout
}

// chosen returns up to carryFanout random members, those with the given names first. chosen changes the order of
// others.
func chosen(others []Member, first []string) []Member {
	rand.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	slices.SortStableFunc(others, func(a, b Member) int {
		named := func(o Member) int {
			if slices.Contains(first, o.Name) {
				return 0
			}
			return 1
		}
		return named(a) - named(b)
	})
	return others[:min(carryFanout, len(others))]
}
