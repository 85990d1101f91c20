package membership

import (
	"context"
	"log/slog"
	"strings"
	"time"
)

const (
	// quietTime is the time for which messages of one kind are suppressed after a logged message. memberlist writes a
	// line for each failed ping.
	quietTime = 30 * time.Second
	// maxKinds bounds the number of remembered kinds of messages, because some kinds contain the name of a node.
	maxKinds = 256
)

// logBridge sends the lines of memberlist's logger to slog. A log.Logger calls Write from one goroutine at a time.
//
// Informational lines of memberlist become debug lines, because Membership itself logs which members come and go.
// Errors of memberlist become warnings, because each error concerns one message or connection and gossip continues.
type logBridge struct {
	log *slog.Logger
	// refuse is called for a line about rejected gossip. refuse is optional.
	refuse func(refusal)
	// news is called for a line about news, with the result of newsIn. news is optional.
	news func(name string)
	seen map[string]*seenKind
}

// seenKind records the time of the last logged message of a kind, and the number of messages suppressed since then.
type seenKind struct {
	logged     time.Time
	suppressed int
}

// Write implements io.Writer for one line.
func (b *logBridge) Write(line []byte) (int, error) {
	level, text := parseLine(string(line))
	if r, is := refusalIn(text); is && b.refuse != nil {
		b.refuse(r)
	}
	if name, is := newsIn(text); is && b.news != nil {
		b.news(name)
	}
	if !b.log.Enabled(context.Background(), level) {
		return len(line), nil
	}
	attrs := []slog.Attr{slog.String("source", "memberlist")}
	if level > slog.LevelDebug {
		kind := b.kind(text)
		now := time.Now()
		if !kind.logged.IsZero() && now.Sub(kind.logged) < quietTime {
			kind.suppressed++
			return len(line), nil
		}
		if kind.suppressed > 0 {
			attrs = append(attrs, slog.Int("suppressed", kind.suppressed))
		}
		*kind = seenKind{logged: now}
	}
	b.log.LogAttrs(context.Background(), level, text, attrs...)
	return len(line), nil
}

// kind returns the record for messages with the same beginning as text, up to the colon before the details.
func (b *logBridge) kind(text string) *seenKind {
	name, _, _ := strings.Cut(text, ":")
	if b.seen[name] == nil {
		if b.seen == nil || len(b.seen) >= maxKinds {
			b.seen = make(map[string]*seenKind)
		}
		b.seen[name] = new(seenKind)
	}
	return b.seen[name]
}

// parseLine splits a line such as "[WARN] memberlist: text" into level and text. A line without a level counts as a
// warning, because the few such lines report errors.
func parseLine(line string) (slog.Level, string) {
	level, rest := slog.LevelWarn, strings.TrimSpace(line)
	if tag, text, found := strings.Cut(rest, "] "); found && strings.HasPrefix(tag, "[") {
		rest = text
		switch tag[1:] {
		case "DEBUG", "INFO":
			level = slog.LevelDebug
		}
	}
	rest = strings.TrimPrefix(rest, "memberlist: ")
	// The refutation belongs to every handover: the other members know the metadata of the previous process. The other
	// message is redundant, because checkPaths logs once that UDP does not work with a member.
	if strings.HasPrefix(rest, "Refuting an alive message") || strings.HasPrefix(rest, "Was able to connect to") {
		level = slog.LevelDebug
	}
	return level, rest
}
