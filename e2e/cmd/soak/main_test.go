package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// TestPlan prints the schedule of a seed, the same each time, without root.
func TestPlan(t *testing.T) {
	var first, second bytes.Buffer
	for _, out := range []*bytes.Buffer{&first, &second} {
		if err := run(t.Context(), []string{"-plan", "-seed", "3", "-duration", "5m", "-faults", "kill,api-slow"}, out, io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	if first.String() != second.String() || !strings.Contains(first.String(), "kill") || strings.Contains(first.String(), "crash") {
		t.Errorf("plans:\n%s\n%s", &first, &second)
	}
}

// TestPlanOfCluster prints that of the cluster's faults, without one.
func TestPlanOfCluster(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-kind", "-plan", "-seed", "3", "-duration", "20m"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"crash", "rollout", "api-restart", "drain"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "node-3") {
		t.Errorf("a fault of a node that there is not:\n%s", &out)
	}
}

// TestFlags refuses what makes no sense, and says what would.
func TestFlags(t *testing.T) {
	for args, want := range map[string]string{
		"-faults earthquake": "there are", "-nodes 2": "at least 3 nodes", "-duration 1s": "a minute", "extra": "unexpected argument",
		"-kind -faults flap": "crash", "-faults drain": "crash",
	} {
		if _, err := parse(strings.Fields(args), io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}
