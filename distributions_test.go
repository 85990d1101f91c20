package lanlord_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestAPIVersionsAreDocumented wants each API version of the manifests, and of the client, in the table of
// docs/distributions.md, and no beta version.
func TestAPIVersionsAreDocumented(t *testing.T) {
	read := func(file string) string {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	used := map[string]string{}
	for _, file := range []string{"deploy/install.yaml", "deploy/networkpolicy.yaml"} {
		for _, match := range regexp.MustCompile(`(?m)^apiVersion: (\S+)$`).FindAllStringSubmatch(read(file), -1) {
			used[match[1]] = file
		}
	}
	groups := map[string]string{"core": "", "discovery": "discovery.k8s.io/", "coordination": "coordination.k8s.io/"}
	const client = "pkg/kube/client.go"
	for _, match := range regexp.MustCompile(`"k8s.io/api/(\w+)/(\w+)"`).FindAllStringSubmatch(read(client), -1) {
		group, known := groups[match[1]]
		if !known {
			t.Errorf("%s uses the group %s: add the group here and to docs/distributions.md", client, match[1])
		}
		used[group+match[2]] = client
	}
	if len(used) < 6 {
		t.Errorf("only %d API versions are found: %v", len(used), used)
	}
	page := read("docs/distributions.md")
	for version, file := range used {
		if !strings.Contains(page, "\n| `"+version+"` | ") {
			t.Errorf("docs/distributions.md has no row for %s, which %s uses", version, file)
		}
		if strings.Contains(version, "alpha") || strings.Contains(version, "beta") {
			t.Errorf("%s uses %s", file, version)
		}
	}
}
