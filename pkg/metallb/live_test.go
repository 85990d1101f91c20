package metallb

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/config/configtest"
)

// TestConvertObjects reads testdata/live. Each file holds sets of resources of a namespace, and after each set the
// resulting document or the problems.
func TestConvertObjects(t *testing.T) {
	configtest.CheckResults(t, "testdata/live/*.txtar", *update, func(t *testing.T, data []byte) string {
		objects := asObjects(t, data)
		result, err := ConvertObjects("metallb-system", objects)
		if err != nil {
			if _, ok := errors.AsType[*Problems](err); !ok {
				t.Errorf("the error %v does not name the resources", err)
			}
			return "refused\n" + err.Error() + "\n\n"
		}
		if !IsLive(result.Text) {
			t.Errorf("IsLive is false for\n%s", result.Text)
		}
		// The order in which the API server sends the resources must not matter.
		for range 5 {
			rand.Shuffle(len(objects), func(i, j int) { objects[i], objects[j] = objects[j], objects[i] })
			if again, err := ConvertObjects("metallb-system", objects); err != nil || again.Text != result.Text {
				t.Errorf("in another order: %v\n%s", err, again.Text)
			}
		}
		var out strings.Builder
		for _, w := range result.Config.Warnings {
			fmt.Fprintf(&out, "note: %s\n", w)
		}
		return out.String() + result.Text + "\n"
	})
}

// asObjects returns the documents in the form that the API server sends.
func asObjects(t *testing.T, data []byte) (objects [][]byte) {
	t.Helper()
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var o map[string]any
		if err := decoder.Decode(&o); err != nil {
			return objects
		}
		text, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, text)
	}
}

// FuzzConvertObjects checks that no resource makes the conversion panic, that Lanlord accepts every document, that each
// note and problem is one line, and that the order of two resources does not matter.
func FuzzConvertObjects(f *testing.F) {
	const ad = `{"apiVersion":"metallb.io/v1beta1","kind":"L2Advertisement","metadata":{"name":"all"}}`
	const pool = `{"apiVersion":"metallb.io/v1beta1","kind":"IPAddressPool","metadata":{"name":"a"},"spec":{"addresses":["192.0.2.1/32"]}}`
	f.Add([]byte(pool), []byte(ad))
	f.Add([]byte(pool), []byte(pool))
	f.Add([]byte(`{"kind":"Community","metadata":{"name":"a\n"},"spec":{"communities":[{"name":"x\u0085","value":"1"}]}}`), []byte(pool))
	f.Add([]byte("{"), []byte("null"))
	f.Fuzz(func(t *testing.T, one, other []byte) {
		result, err := ConvertObjects("metallb-system", [][]byte{one, other})
		back, errBack := ConvertObjects("metallb-system", [][]byte{other, one})
		if (result == nil) == (err == nil) || (err == nil) != (errBack == nil) {
			t.Fatalf("got %v and %v, and the other way round %v", result, err, errBack)
		}
		if err != nil {
			for line := range strings.Lines(err.Error()) {
				if strings.TrimSpace(line) == "" {
					t.Errorf("the error %q has an empty line", err)
				}
			}
			return
		}
		if different(one, other) && result.Text != back.Text {
			t.Errorf("the order matters:\n%s\n%s", result.Text, back.Text)
		}
		if _, err := config.Parse([]byte(result.Text)); err != nil || !IsLive(result.Text) {
			t.Fatalf("Lanlord refuses\n%s%v", result.Text, err)
		}
		for _, w := range result.Config.Warnings {
			if w.Message == "" || strings.ContainsAny(w.Message, "\r\n") {
				t.Errorf("the note %q is not one line", w.Message)
			}
		}
	})
}

// different reports whether two resources differ in kind or name. Any two resources of a namespace do.
func different(a, b []byte) bool {
	var x, y object
	return yaml.Unmarshal(a, &x) == nil && yaml.Unmarshal(b, &y) == nil && x.String() != y.String()
}
