package probe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

// Talk says which connections to keep open, and how to use them.
type Talk struct {
	Target      string        // host and port of a server that sends each line back (RFC 862)
	Connections int           // at least 1
	Every       time.Duration // between two lines of one connection, at least 1 ms
	Timeout     time.Duration // for the connection, and for each line to come back; at least Every
	For         time.Duration // 0: until the context ends
}

// Streams reports on connections that are kept open.
type Streams struct {
	Target  string        `json:"target"`
	Opened  int           `json:"opened"`     // connections that were made
	Lines   int           `json:"lines"`      // that came back
	Slowest time.Duration `json:"slowest_ns"` // the longest that a line took to come back
	Broken  []Break       `json:"broken"`     // first to last
}

// Break is the end of a connection that was not meant to end.
type Break struct {
	Connection int           `json:"connection"` // from 0
	At         time.Time     `json:"at"`
	After      time.Duration `json:"after_ns"` // since the connection was made, 0 if it never was
	Lines      int           `json:"lines"`    // that had come back
	Reason     string        `json:"reason"`
}

// String is for the log of a test.
func (s Streams) String() string {
	text := fmt.Sprintf("%s: %d connections, %d broken, %d lines, the slowest back after %v",
		s.Target, s.Opened, len(s.Broken), s.Lines, s.Slowest.Round(time.Millisecond))
	if len(s.Broken) > 0 {
		first, last := s.Broken[0], s.Broken[len(s.Broken)-1]
		text += fmt.Sprintf("; broken from %s to %s, the first: %s", first.At.Format("15:04:05.000"), last.At.Format("15:04:05.000"), first.Reason)
	}
	return text
}

func (t Talk) validate() error {
	if t.Connections < 1 || t.Every < time.Millisecond || t.Timeout < t.Every || t.For < 0 {
		return fmt.Errorf("no talk: %d connections, a line every %v, timeout %v, for %v", t.Connections, t.Every, t.Timeout, t.For)
	}
	return nil
}

// Stream keeps connections open, sends lines on each at a fixed rate, and reports which of them broke and when. A connection
// that broke is not made again.
func Stream(ctx context.Context, talk Talk) (Streams, error) {
	if err := talk.validate(); err != nil {
		return Streams{}, err
	}
	if talk.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, talk.For)
		defer cancel()
	}
	outcomes := make([]stream, talk.Connections)
	var pending sync.WaitGroup
	for i := range outcomes {
		pending.Go(func() { outcomes[i].err = outcomes[i].run(ctx, talk) })
	}
	pending.Wait()
	report := Streams{Target: talk.Target}
	for i := range outcomes {
		report.add(i, &outcomes[i])
	}
	slices.SortFunc(report.Broken, func(a, b Break) int { return a.At.Compare(b.At) })
	return report, nil
}

func (s *Streams) add(i int, o *stream) {
	s.Lines += o.lines
	s.Slowest = max(s.Slowest, o.slowest)
	if !o.opened.IsZero() {
		s.Opened++
	}
	if o.err == nil {
		return
	}
	b := Break{Connection: i, At: o.ended, Lines: o.lines, Reason: reason(o.err)}
	if !o.opened.IsZero() {
		b.After = o.ended.Sub(o.opened)
	}
	s.Broken = append(s.Broken, b)
}

// stream is one connection and what became of it.
type stream struct {
	opened, ended time.Time
	lines         int
	slowest       time.Duration
	err           error
}

var errOtherLine = errors.New("another line came back")

// run returns nil if the connection lasted until the context ended.
func (s *stream) run(ctx context.Context, talk Talk) error {
	defer func() { s.ended = time.Now() }()
	dialer := net.Dialer{Timeout: talk.Timeout}
	conn, err := dialer.DialContext(ctx, "tcp", talk.Target)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer conn.Close()
	s.opened = time.Now()
	reader := bufio.NewReader(conn)
	for next := time.NewTicker(talk.Every); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
		}
		if err := s.line(conn, reader, talk.Timeout); err != nil {
			return err
		}
	}
}

// line sends one line and waits for it to come back. It is not cut off by the end of the context, so that every line counts.
func (s *stream) line(conn net.Conn, reader *bufio.Reader, timeout time.Duration) error {
	start := time.Now()
	if err := conn.SetDeadline(start.Add(timeout)); err != nil {
		return err
	}
	line := fmt.Sprintf("line %d\n", s.lines)
	if _, err := conn.Write([]byte(line)); err != nil {
		return err
	}
	back, err := reader.ReadString('\n')
	s.slowest = max(s.slowest, time.Since(start))
	if err != nil {
		return err
	}
	if back != line {
		return errOtherLine
	}
	s.lines++
	return nil
}
