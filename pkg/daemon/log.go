package daemon

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"k8s.io/klog/v2"
)

// LogFormat is the form of a log line.
type LogFormat uint8

// The log formats.
const (
	LogText LogFormat = iota // key=value pairs
	LogJSON                  // one JSON object a line
)

// String returns the format in the spelling of --log-format.
func (f LogFormat) String() string { return [...]string{"text", "json"}[f] }

// Set makes *LogFormat a flag.Value.
func (f *LogFormat) Set(s string) error {
	for _, format := range []LogFormat{LogText, LogJSON} {
		if s == format.String() {
			*f = format
			return nil
		}
	}
	return errors.New("must be text or json")
}

// levelValue is a slog.Level as a flag.Value. Unlike slog's own parser, levelValue accepts no offsets and no upper
// case.
type levelValue slog.Level

func (v *levelValue) String() string { return strings.ToLower(slog.Level(*v).String()) }

func (v *levelValue) Set(s string) error {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if s == strings.ToLower(level.String()) {
			*v = levelValue(level)
			return nil
		}
	}
	return errors.New("must be debug, info, warn or error")
}

// Logger returns a logger that writes to w with the level and format of the flags.
func (f *Flags) Logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: f.LogLevel}
	if f.LogFormat == LogJSON {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// BridgeKlog sends the messages of client-go (through klog) to log. Errors stay errors. All other messages become debug
// messages, including klog's warnings, which reach a logger as information: Lanlord uses Info for its own transitions
// only. If log is at debug level, BridgeKlog raises klog's verbosity to 2, where client-go reports watches that end.
//
// BridgeKlog changes the whole process. Call BridgeKlog once, before the first use of client-go.
func BridgeKlog(log *slog.Logger) error {
	klog.SetSlogLogger(slog.New(demoteInfo{log.Handler()}))
	if !log.Enabled(context.Background(), slog.LevelDebug) {
		return nil
	}
	set := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(set)
	if err := set.Set("v", "2"); err != nil {
		return fmt.Errorf("set klog's verbosity: %w", err)
	}
	return nil
}

// demoteInfo is a handler that turns every level below a warning into debug.
type demoteInfo struct{ slog.Handler }

func demoted(level slog.Level) slog.Level {
	if level < slog.LevelWarn {
		return slog.LevelDebug
	}
	return level
}

// Enabled implements slog.Handler.
func (h demoteInfo) Enabled(ctx context.Context, level slog.Level) bool {
	return h.Handler.Enabled(ctx, demoted(level))
}

// Handle implements slog.Handler.
func (h demoteInfo) Handle(ctx context.Context, r slog.Record) error {
	r.Level = demoted(r.Level)
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h demoteInfo) WithAttrs(attrs []slog.Attr) slog.Handler {
	return demoteInfo{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h demoteInfo) WithGroup(name string) slog.Handler {
	return demoteInfo{h.Handler.WithGroup(name)}
}
