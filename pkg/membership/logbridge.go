package membership

import (
	"context"
	"log/slog"
	"strings"
	"time"
)

const (
	// quietTime is the time in which a kind of message is not logged again. memberlist writes a line for each failed
	// ping.
	quietTime = 30 * time.Second
	// maxKinds bounds the memory for kinds of messages, some of which contain the name of a node.
	maxKinds = 256
)

// logBridge sends the lines of memberlist's logger to slog. A log.Logger calls Write from one goroutine at a time.
//
// Informational lines of memberlist are debug lines here, because Membership logs which members come and go. Errors of
// memberlist are warnings here, because each concerns one message or connection and gossip goes on.
type logBridge struct {
	log *slog.Logger
	// refuse is called for a line about gossip that was not accepted. It is optional.
	refuse func(refusal)
	seen   map[string]*seenKind
}

// seenKind records when a kind of message was logged, and how many were suppressed since.
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

// kind returns the record of the messages that begin like text, up to the colon before the details.
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

// parseLine splits a line such as "[WARN] memberlist: text" into level and text. A line without a level is a warning:
// the few such lines report errors.
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
	// The others know the process before this one, whose metadata differs: the refutation belongs to every handover.
	// And checkPaths logs once that UDP does not work with a member.
	if strings.HasPrefix(rest, "Refuting an alive message") || strings.HasPrefix(rest, "Was able to connect to") {
		level = slog.LevelDebug
	}
	return level, rest
}
