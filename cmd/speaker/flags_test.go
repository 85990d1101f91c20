package main

import "testing"

// TestPodName checks that the name comes from the flag, else from the environment.
func TestPodName(t *testing.T) {
	t.Setenv("POD_NAME", "speaker-1")
	for want, args := range map[string][]string{
		"speaker-1": {"--node-name=a"},
		"speaker-2": {"--node-name=a", "--pod-name=speaker-2"},
		"":          {"--node-name=a", "--pod-name="},
	} {
		f, err := parseFlags(args, t.Output())
		if err != nil || f.podName != want {
			t.Errorf("%q: %q, %v, want %q", args, f.podName, err, want)
		}
	}
}
