package config

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write the results into testdata")

// TestCheck reads testdata/check: each file has documents, every one followed by its result, which begins with "accepted"
// or "refused".
func TestCheck(t *testing.T) {
	files, err := filepath.Glob("testdata/check/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { checkFile(t, file) })
	}
}

func checkFile(t *testing.T, file string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(archive.Files)%2 != 0 {
		t.Fatal("there must be one result after each document")
	}
	for i := 0; i < len(archive.Files); i += 2 {
		document, result := archive.Files[i], &archive.Files[i+1]
		if result.Name != "result" {
			t.Fatalf("after %q stands %q, not its result", document.Name, result.Name)
		}
		t.Run(document.Name, func(t *testing.T) {
			got := outcome(document.Data)
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

// outcome is the result of Check as it is in testdata: an empty line after the document's own last one.
func outcome(document []byte) string {
	var out bytes.Buffer
	if err := Check(document, &out); err != nil {
		return "refused\n" + err.Error() + "\n\n"
	}
	return "accepted\n" + out.String() + "\n"
}

// TestInvisible has the documents whose point cannot be seen in a file.
func TestInvisible(t *testing.T) {
	tests := []struct{ name, document, want string }{
		{"byte order mark", "\ufeffaddress-pools: []\n", ""},
		{"byte order mark and nothing else", "\ufeff", ""},
		{"DOS line ends", "address-pools:\r\n- name: a\r\n  protocol: layer2\r\n  addresses:\r\n  - 10.0.0.1\r\n", ""},
		{"DOS line ends keep the lines", "address-pools:\r\n- name: a\r\n  protocol: layer2\r\n  addresses:\r\n  - 10.0.0\r\n",
			`line 5: pool "a": address-pools[0].addresses[0]: "10.0.0" is no address; write one like 192.0.2.10 or 2001:db8::10`},
		{"no newline at the end", "address-pools: []", ""},
		{"blanks only", "  \n \n", ""},
		{"UTF-16", "\xff\xfea\x00:\x00 \x001\x00", "line 1: a: unknown key; the keys here are address-pools, peers, bgp-communities, bfd-profiles, allocation, layer2"},
		{"tab as indentation", "address-pools:\n- name: a\n\tprotocol: layer2\n",
			"line 3: not valid YAML: found a tab character that violates indentation; the line is indented with a tab, write spaces"},
		{"tab before a list", "address-pools:\n\t- name: a\n",
			"line 2: not valid YAML: found character that cannot start any token; the line is indented with a tab, write spaces"},
		{"tab between", "address-pools:\t[]\t# none\n", ""},
		{"control character", "address-pools: []\n# \x01\n", "line 2: not valid YAML: control characters are not allowed"},
		{"invalid UTF-8", "# fine\naddress-pools: [] # \xff\n", "line 2: not valid YAML: invalid leading UTF-8 octet"},
		{"manifest in place of the document", "\nkind: ConfigMap\napiVersion: v1\n",
			"line 2: this is a whole manifest; only the text under its key data.config belongs here, which begins with address-pools:"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse([]byte(test.document))
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestCheckReportsWriteErrors(t *testing.T) {
	broken := errors.New("broken pipe")
	if err := Check(nil, writerFunc(func([]byte) (int, error) { return 0, broken })); !errors.Is(err, broken) {
		t.Errorf("got %v, want one that wraps %v", err, broken)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
