package main

import (
	"bytes"
	"testing"

	"golang.org/x/tools/txtar"
)

// TestLastRouter checks that the plan names the addresses that only the departed node announces by BGP.
func TestLastRouter(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/routers.txtar")
	if err != nil {
		t.Fatal(err)
	}
	w := newScenario(t, archive)
	p := &plugin{world: world{w.reach, w.now, "test", nil}, stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}, terminal: &bytes.Buffer{}}
	p.root() // sets the defaults of the flags
	c, _, err := p.look(t.Context(), ordinary)
	if err != nil {
		t.Fatal(err)
	}
	for node, want := range map[string]string{"n1": "", "n2": "198.51.100.2", "n3": "", "n4": ""} {
		got := ""
		for _, x := range onlyRouter(c, node) {
			got += x.Address.String()
		}
		if got != want {
			t.Errorf("only %s announces %q, want %q", node, got, want)
		}
	}
}
