package lanlord_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/lanlord/lanlord/pkg/config"
)

// TestExamplesOfBGP has the programs themselves read the examples of docs/bgp.md: the ConfigMap, and the configurations
// of
// FRR and BIRD.
func TestExamplesOfBGP(t *testing.T) {
	text, err := os.ReadFile("docs/bgp.md")
	if err != nil {
		t.Fatal(err)
	}
	block := func(t *testing.T, language string) string {
		t.Helper()
		_, rest, ok := strings.Cut(string(text), "\n```"+language+"\n")
		example, _, end := strings.Cut(rest, "\n```\n")
		if !ok || !end {
			t.Fatalf("docs/bgp.md has no example in %s", language)
		}
		return example + "\n"
	}
	t.Run("ConfigMap", func(t *testing.T) {
		var object struct{ Data map[string]string }
		if err := yaml.Unmarshal([]byte(block(t, "yaml")), &object); err != nil {
			t.Fatal(err)
		}
		c, err := config.Parse([]byte(object.Data["config"]))
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Warnings) > 0 || len(c.Peers) != 1 || len(c.Pools) != 1 || !c.Pools[0].BGP {
			t.Errorf("%d peers, %d pools, warnings %v", len(c.Peers), len(c.Pools), c.Warnings)
		}
	})
	for language, command := range map[string][]string{"frr": {"vtysh", "-C", "-f"}, "bird": {"bird", "-p", "-c"}} {
		t.Run(language, func(t *testing.T) {
			if _, err := exec.LookPath(command[0]); err != nil {
				t.Skipf("without %s, which a Debian package has", command[0])
			}
			file := filepath.Join(t.TempDir(), "conf")
			check := func(text string) (string, error) {
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				output, err := exec.Command(command[0], append(command[1:], file)...).CombinedOutput()
				return string(output), err
			}
			if output, err := check(block(t, language)); err != nil {
				t.Errorf("%s: %v\n%s", command[0], err, output)
			}
			if _, err := check("no such statement\n" + block(t, language)); err == nil {
				t.Errorf("%s accepts everything", command[0])
			}
		})
	}
}
