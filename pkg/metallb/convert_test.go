package metallb

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/lanlord/lanlord/pkg/config"
)

var update = flag.Bool("update", false, "write the results into testdata")

// TestConvert reads testdata: each file has MetalLB's resources, every one followed by what becomes of them. Lanlord must accept
// each ConfigMap, and understands it as the last file says.
func TestConvert(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { convertFile(t, file) })
	}
}

func convertFile(t *testing.T, file string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(archive.Files)%2 != 0 {
		t.Fatal("there must be one result after the resources")
	}
	for i := 0; i < len(archive.Files); i += 2 {
		resources, result := archive.Files[i], &archive.Files[i+1]
		if result.Name != "result" {
			t.Fatalf("after %q stands %q, not its result", resources.Name, result.Name)
		}
		t.Run(resources.Name, func(t *testing.T) {
			got := outcome(t, resources.Data)
			if *update {
				result.Data = []byte(got)
			} else if got != string(result.Data) {
				t.Errorf("got\n%s\nwant\n%s", got, result.Data)
			}
		})
	}
	if *update {
		if err := os.WriteFile(file, txtar.Format(archive), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// outcome is the manifest, or "refused" and the error.
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

// FuzzConvert asserts that nothing makes the conversion panic or hang, that what it prints is a configuration with the pools that
// came in, and that notes are one line each.
func FuzzConvert(f *testing.F) {
	for _, seed := range []string{
		"apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: \"a\\n---\\nb\"}\nspec: {addresses: [10.0.0.1/32]}\n",
		"apiVersion: metallb.io/v1beta1\nkind: List\nitems: &a [*a]\n",
		"apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: !!binary aGk=}\nspec: &s {addresses: [*s]}\n",
		"- a\n", "---\n---\n", "a: b\n", "\ufeff{}",
	} {
		f.Add([]byte(seed))
	}
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, resources := range archive.Files {
			if resources.Name != "result" {
				f.Add(resources.Data)
			}
		}
	}
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
		if err != nil || len(c.Pools)+len(c.SetAside) != len(in.pools) {
			t.Fatalf("%d pools and %d set aside of %+v, %v", len(c.Pools), len(c.SetAside), in, err)
		}
		for _, note := range result.Notes {
			if note == "" || strings.ContainsAny(note, "\r\n") {
				t.Errorf("the note %q is not one line", note)
			}
		}
	})
}
