package daemon

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"log/slog"
	"strings"
	"testing"

	"k8s.io/klog/v2"
)

func TestLogger(t *testing.T) {
	for _, format := range []LogFormat{LogText, LogJSON} {
		var b bytes.Buffer
		flags := Flags{LogLevel: slog.LevelWarn, LogFormat: format}
		log := flags.Logger(&b)
		log.Info("not at this level")
		log.Warn("pool is used up", "pool", "lan")
		line := b.String()
		switch format {
		case LogText:
			if !strings.HasSuffix(line, "level=WARN msg=\"pool is used up\" pool=lan\n") || strings.Count(line, "\n") != 1 {
				t.Errorf("text: %q", line)
			}
		case LogJSON:
			var got struct{ Level, Msg, Pool string }
			if err := json.Unmarshal(b.Bytes(), &got); err != nil || got.Level != "WARN" || got.Pool != "lan" {
				t.Errorf("json: %q, %v", line, err)
			}
		}
	}
}

// klogTo returns the log of klog's messages at a level. The bridge changes the whole process, so these tests do not run
// in parallel.
func klogTo(t *testing.T, level slog.Level) string {
	var b bytes.Buffer
	log := slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
	t.Cleanup(func() {
		klog.ClearLogger()
		set := flag.NewFlagSet("klog", flag.ContinueOnError)
		klog.InitFlags(set)
		if err := set.Set("v", "0"); err != nil {
			t.Error(err)
		}
	})
	if err := BridgeKlog(log); err != nil {
		t.Fatal(err)
	}
	klog.InfoS("acquired lease", "lease", "lanlord")
	klog.V(2).InfoS("watch closed", "resource", "services")
	klog.V(3).InfoS("more than anybody reads")
	klog.Warning("the API server is deprecated")
	klog.ErrorS(errors.New("connection refused"), "watch failed", "resource", "nodes")
	klog.Background().WithName("informer").WithValues("resource", "nodes").Info("synced")
	klog.Flush()
	return b.String()
}

func TestKlogIsBridged(t *testing.T) {
	failure := "level=ERROR msg=\"watch failed\" err=\"connection refused\" resource=nodes\n"
	if got := klogTo(t, slog.LevelInfo); got != failure {
		t.Errorf("at info level\n%s\nwant\n%s", got, failure)
	}
	want := `level=DEBUG msg="acquired lease" lease=lanlord
level=DEBUG msg="watch closed" resource=services
level=DEBUG msg="the API server is deprecated"
` + failure + `level=DEBUG msg=synced resource=nodes logger=informer
`
	if got := klogTo(t, slog.LevelDebug); got != want {
		t.Errorf("at debug level\n%s\nwant\n%s", got, want)
	}
}
