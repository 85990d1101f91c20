package configtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// result is the name of the result after each document in a file.
const result = "result"

// CheckResults reads the files that match pattern. A file contains documents, each followed by its result. CheckResults
// compares the result with the return value of outcome for the document, or, with update, replaces the result.
func CheckResults(t *testing.T, pattern string, update bool, outcome func(t *testing.T, document []byte) string) {
	t.Helper()
	for file, archive := range read(t, pattern) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			checkFile(t, archive, update, outcome)
			if update {
				if err := os.WriteFile(file, txtar.Format(archive), 0o666); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func checkFile(t *testing.T, archive *txtar.Archive, update bool, outcome func(t *testing.T, document []byte) string) {
	if len(archive.Files)%2 != 0 {
		t.Fatal("there must be one result after each document")
	}
	for i := 0; i < len(archive.Files); i += 2 {
		document, want := archive.Files[i], &archive.Files[i+1]
		if want.Name != result {
			t.Fatalf("after %q stands %q, not its result", document.Name, want.Name)
		}
		t.Run(document.Name, func(t *testing.T) {
			got := outcome(t, document.Data)
			if update {
				want.Data = []byte(got)
			} else if got != string(want.Data) {
				t.Errorf("got\n%s\nwant\n%s", got, want.Data)
			}
		})
	}
}

// AddDocuments adds the documents of these files to the seeds of f.
func AddDocuments(f *testing.F, pattern string) {
	f.Helper()
	for _, archive := range read(f, pattern) {
		for _, document := range archive.Files {
			if document.Name != result {
				f.Add(document.Data)
			}
		}
	}
}

func read(t testing.TB, pattern string) map[string]*txtar.Archive {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no files %s: %v", pattern, err)
	}
	archives := map[string]*txtar.Archive{}
	for _, file := range files {
		if archives[file], err = txtar.ParseFile(file); err != nil {
			t.Fatal(err)
		}
	}
	return archives
}
