package bgp

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
)

// md5Counters count segments that the kernel dropped because of TCP MD5 passwords, in this network namespace.
type md5Counters struct {
	// notFound counts segments without a password from routers that are to use one.
	notFound uint64
	// unexpected counts segments with a password from routers that are to use none.
	unexpected uint64
	// failure counts segments with another password.
	failure uint64
}

// netstatFile has the counters of TCP in the network namespace of the process (proc(5)).
const netstatFile = "/proc/self/net/netstat"

func readMD5Counters() (md5Counters, error) {
	text, err := os.ReadFile(netstatFile)
	if err != nil {
		return md5Counters{}, err
	}
	return parseMD5Counters(string(text))
}

// parseMD5Counters reads the pair of lines that begin with TcpExt: the first names the columns of the second.
func parseMD5Counters(text string) (md5Counters, error) {
	var c md5Counters
	var names []string
	for line := range strings.Lines(text) {
		rest, is := strings.CutPrefix(line, "TcpExt:")
		if !is {
			continue
		}
		if names == nil {
			names = strings.Fields(rest)
			continue
		}
		values := strings.Fields(rest)
		if len(values) != len(names) {
			return md5Counters{}, fmt.Errorf("%s has %d names of TCP counters and %d values", netstatFile, len(names),
				len(values))
		}
		into := map[string]*uint64{"TCPMD5NotFound": &c.notFound, "TCPMD5Unexpected": &c.unexpected,
			"TCPMD5Failure": &c.failure}
		for i, name := range names {
			if to := into[name]; to != nil {
				n, err := strconv.ParseUint(values[i], 10, 64)
				if err != nil {
					return md5Counters{}, fmt.Errorf("%s: counter %s: %w", netstatFile, name, err)
				}
				*to = n
			}
		}
		return c, nil
	}
	return md5Counters{}, fmt.Errorf("%s has no counters of TCP", netstatFile)
}

// md5Watch finds out whether a failed attempt to connect is due to a password. The kernel counts for all connections
// together, so an attempt is judged only by counters that no other attempt at the same time may have moved. The mutex
// guards a few numbers; each attempt has its own goroutine.
type md5Watch struct {
	mu sync.Mutex
	// running and started count the attempts, those without a password at 0 and those with one at 1.
	running [2]int
	started [2]uint64
	// read reads the counters; tests replace it.
	read func() (md5Counters, error)
}

// md5Attempt is an attempt to connect.
type md5Attempt struct {
	kind    int // the index in running and started
	alone   bool
	started uint64
	before  md5Counters
	err     error
}

// begin records the start of an attempt. Each attempt must end with a call of end.
func (w *md5Watch) begin(password bool) *md5Attempt {
	a := &md5Attempt{}
	if password {
		a.kind = 1
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running[a.kind]++
	w.started[a.kind]++
	a.alone = w.running[a.kind] == 1
	a.started = w.started[a.kind]
	a.before, a.err = w.read()
	return a
}

// end returns what the counters say of the attempt. Without a sign of a wrong password the reason is None. shared is
// true when counters moved and another attempt may be the cause.
func (w *md5Watch) end(a *md5Attempt) (r Reason, shared bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running[a.kind]--
	after, err := w.read()
	if err != nil || a.err != nil {
		return None, false
	}
	switch {
	case a.kind == 0 && after.unexpected > a.before.unexpected:
		r = PasswordMissing
	case a.kind == 1 && after.failure > a.before.failure:
		r = PasswordWrong
	case a.kind == 1 && after.notFound > a.before.notFound:
		r = PasswordUnexpected
	default:
		return None, false
	}
	if !a.alone || w.started[a.kind] != a.started {
		return None, true
	}
	return r, false
}
