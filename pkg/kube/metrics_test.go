package kube

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/lanlord/lanlord/pkg/cluster"
)

func TestMetrics(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	s := New(Options{Client: newFakeAPI(), ConfigMap: "config", Log: textLog(&lines{}), Registerer: registry})
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
	s.metrics.wrote(nil)
	s.metrics.wrote(fmt.Errorf("write: %w", cluster.ErrChanged))
	s.metrics.wrote(errors.New("reset"))
	for range eventQueue + 2 {
		s.Event(cluster.Event{})
	}
	if err := s.configMaps.Replace([]any{configMap("x: 1")}, "2"); err != nil {
		t.Fatal(err)
	}
	want := `
# HELP lanlord_api_connected 1 while the API server answers this process's watches.
# TYPE lanlord_api_connected gauge
lanlord_api_connected 0
# HELP lanlord_api_synced 1 once every watched kind was listed.
# TYPE lanlord_api_synced gauge
lanlord_api_synced 0
# HELP lanlord_config_change_timestamp_seconds When this process began to use the configuration in use, in Unix time; 0 without one.
# TYPE lanlord_config_change_timestamp_seconds gauge
lanlord_config_change_timestamp_seconds 0
# HELP lanlord_config_hash The first 48 bits of the SHA-256 hash of the configuration in use, 0 without one: the same number in all processes that use the same text.
# TYPE lanlord_config_hash gauge
lanlord_config_hash 0
# HELP lanlord_config_loaded 1 once a valid configuration was read.
# TYPE lanlord_config_loaded gauge
lanlord_config_loaded 0
# HELP lanlord_config_stale 1 while the newest ConfigMap is missing or not valid, and an older one or none is in use.
# TYPE lanlord_config_stale gauge
lanlord_config_stale 1
# HELP lanlord_events_dropped_total Kubernetes Events that were not sent: too many waited, or were of one object, or the API server refused them.
# TYPE lanlord_events_dropped_total counter
lanlord_events_dropped_total 2
# HELP lanlord_service_writes_total Writes of a Service's status, by result: done, changed (refused because the Service had changed) or failed.
# TYPE lanlord_service_writes_total counter
lanlord_service_writes_total{result="changed"} 1
lanlord_service_writes_total{result="done"} 1
lanlord_service_writes_total{result="failed"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	if err := s.configMaps.Update(configMap(onePool)); err != nil {
		t.Fatal(err)
	}
	if !s.configLoaded() || s.configStale() {
		t.Error("a valid configuration counts neither as loaded nor as current")
	}
	sum := sha256.Sum256([]byte(onePool))
	hash := float64(binary.BigEndian.Uint64(sum[:8]) >> 16)
	if got := s.configHash(); got != hash {
		t.Errorf("the hash is %x, want %x", int64(got), int64(hash))
	}
	began := s.configTime()
	if age := float64(time.Now().UnixMilli())/1000 - began; age < 0 || age > 60 {
		t.Errorf("in use since %f, which is %f s ago", began, age)
	}
	if err := s.configMaps.Update(configMap("x: 1")); err != nil {
		t.Fatal(err)
	}
	if s.configHash() != hash || s.configTime() != began {
		t.Error("a configuration that is refused counts as one in use")
	}
}
