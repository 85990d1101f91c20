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

// TestFlags refuses what makes no sense, and says what would.
func TestFlags(t *testing.T) {
	for args, want := range map[string]string{
		"-faults earthquake": "there are", "-nodes 2": "at least 3 nodes", "-duration 1s": "a minute", "extra": "unexpected argument",
	} {
		if _, err := parse(strings.Fields(args), io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}
