package config

import (
	"bytes"
	"errors"
	"flag"
	"strings"
	"testing"

	"github.com/lanlord/lanlord/pkg/config/configtest"
)

var update = flag.Bool("update", false, "write the results into testdata")

// TestCheck reads the files in testdata/check. A file contains documents, each followed by its result; the result
// begins with "accepted" or "refused".
func TestCheck(t *testing.T) {
	configtest.CheckResults(t, "testdata/check/*.txtar", *update, func(_ *testing.T, document []byte) string { return outcome(document) })
}

// outcome returns the result of Check in the form of testdata: an empty line follows the last line of the document.
func outcome(document []byte) string {
	var out bytes.Buffer
	if err := Check(document, &out); err != nil {
		return "refused\n" + err.Error() + "\n\n"
	}
	return "accepted\n" + out.String() + "\n"
}

// TestInvisible checks documents with characters that a reader of a file cannot see.
func TestInvisible(t *testing.T) {
	tests := []struct{ name, document, want string }{
		{"byte order mark", "\ufeffaddress-pools: []\n", ""},
		{"byte order mark and nothing else", "\ufeff", ""},
		{"DOS line ends", "address-pools:\r\n- name: a\r\n  protocol: layer2\r\n  addresses:\r\n  - 10.0.0.1\r\n", ""},
		{"DOS line ends keep the lines", "address-pools:\r\n- name: a\r\n  protocol: layer2\r\n  addresses:\r\n  - 10.0.0\r\n",
			`line 5: pool "a": address-pools[0].addresses[0]: "10.0.0" is no address; write one like 192.0.2.10 or 2001:db8::10`},
		{"no newline at the end", "address-pools: []", ""},
		{"blanks only", "  \n \n", ""},
		{"UTF-16", "\xff\xfea\x00:\x00 \x001\x00", "line 1: a: unknown key; the keys here are address-pools, peers, bgp-communities, bfd-profiles, announce-classes, allocation, layer2, bgp"},
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

// TestLongTextIsNotRepeated checks a file without an end of line, such as a token: the message shows at most the two
// ends of the text.
func TestLongTextIsNotRepeated(t *testing.T) {
	secret := strings.Repeat("eyJhbGciOiJSUzI1NiIs", 60)
	for _, document := range []string{secret, secret + ": 1", "address-pools: " + secret, "address-pools: [{addresses: [" + secret + "]}]"} {
		_, err := Parse([]byte(document))
		if err == nil {
			t.Errorf("%.40s: no error", document)
			continue
		}
		if repeated := strings.Count(err.Error(), "eyJhbGciOiJSUzI1NiIs"); repeated > 20 {
			t.Errorf("%.40s: the error repeats %d of 60 parts of the text: %v", document, repeated, err)
		}
	}
}
