package metallb

import (
	"flag"
	"strings"
	"testing"

	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/config/configtest"
)

var update = flag.Bool("update", false, "write the results into testdata")

// TestConvert reads testdata. Each file holds inputs with MetalLB's resources, and the expected outcome after each
// input. Lanlord must accept each ConfigMap.
func TestConvert(t *testing.T) {
	configtest.CheckResults(t, "testdata/*.txtar", *update, outcome)
}

// outcome returns the manifest, or "refused" and the error.
func outcome(t *testing.T, data []byte) string {
	result, err := Convert(data, "lanlord-system", "config")
	if err != nil {
		return "refused\n" + err.Error() + "\n\n"
	}
	var report strings.Builder
	if err := config.Check(result.Manifest, &report); err != nil {
		t.Errorf("Lanlord refuses the result: %v", err)
	}
	for _, note := range result.Notes {
		if !strings.Contains(string(result.Manifest), "# "+note+"\n") {
			t.Errorf("the note %q is no comment of the manifest", note)
		}
	}
	return string(result.Manifest) + "\n"
}

// FuzzConvert checks that no input makes the conversion panic or hang, that the output is a configuration with all
// pools and peers of the input, and that each note is one line.
func FuzzConvert(f *testing.F) {
	for _, seed := range []string{
		"apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: \"a\\n---\\nb\"}\nspec: {addresses: [10.0.0.1/32]}\n",
		"apiVersion: metallb.io/v1beta1\nkind: List\nitems: &a [*a]\n",
		"apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: !!binary aGk=}\nspec: &s {addresses: [*s]}\n",
		"- a\n", "---\n---\n", "a: b\n", "\ufeff{}",
	} {
		f.Add([]byte(seed))
	}
	configtest.AddDocuments(f, "testdata/*.txtar")
	f.Fuzz(func(t *testing.T, data []byte) {
		result, err := Convert(data, "lanlord-system", "config")
		if (result == nil) == (err == nil) {
			t.Fatalf("got %v and %v", result, err)
		}
		if err != nil {
			return
		}
		c, err := config.Read(result.Manifest)
		if err != nil {
			t.Fatalf("Lanlord refuses\n%s%v", result.Manifest, err)
		}
		in, err := read(data)
		if err != nil || len(c.Pools) != len(in.pools) {
			t.Fatalf("%d pools of %+v, %v", len(c.Pools), in, err)
		}
		if len(c.Peers) != len(in.peers) {
			t.Fatalf("%d peers of %+v", len(c.Peers), in)
		}
		for _, note := range result.Notes {
			if note == "" || strings.ContainsAny(note, "\r\n") {
				t.Errorf("the note %q is not one line", note)
			}
		}
	})
}
