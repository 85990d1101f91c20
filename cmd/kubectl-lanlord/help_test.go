package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestExamples runs the examples in the help of each command. No example may have a wrong flag or wrong arguments.
func TestExamples(t *testing.T) {
	p := &plugin{stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}, terminal: &bytes.Buffer{}}
	root := p.root()
	for _, command := range root.Commands() {
		if command.Hidden || command.Name() == "completion" || command.Name() == "help" {
			continue
		}
		if command.Example == "" {
			t.Errorf("%s has no example", command.Name())
		}
		for _, line := range strings.Split(command.Example, "\n") {
			line, _, _ = strings.Cut(line, "#")
			if strings.HasPrefix(line, "  kubectl get ") {
				continue // what the command reads
			}
			line, _, _ = strings.Cut(line, "|")
			rest, is := strings.CutPrefix(line, "  kubectl lanlord ")
			if !is || strings.Fields(rest)[0] != command.Name() {
				t.Errorf("%s: %q is no example of the command", command.Name(), line)
				continue
			}
			// page has no end, and dump writes files; tests of their own run them.
			if command.Name() == "page" || command.Name() == "dump" {
				if err := command.ParseFlags(strings.Fields(rest)[1:]); err != nil {
					t.Errorf("%s: %v", rest, err)
				}
				continue
			}
			runExample(t, rest)
		}
	}
}

func runExample(t *testing.T, line string) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		var out bytes.Buffer
		newMover(t).start(ctx, &out, &out, strings.Fields(strings.ReplaceAll(line, "config.yaml", "testdata/config.yaml"))...)
		for _, wrong := range []string{"unknown command", "unknown flag", "unknown shorthand", "unknown output", " --help", "names no Service"} {
			if strings.Contains(out.String(), wrong) {
				t.Errorf("%s: %s", line, out.String())
			}
		}
	})
}
