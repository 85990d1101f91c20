package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/clientcmd"
)

var update = flag.Bool("update", false, "write what the commands print into testdata")

// noon is when the commands of the scenarios run.
var noon = time.Date(2026, time.June, 1, 12, 0, 0, 0, time.UTC)

// TestScenarios runs the command lines in testdata against clusters there. A file's part is
//   - objects.yaml: the objects of the API server;
//   - forbidden: rights that are missing, as "verb resource" or "verb resource/name" on a line each;
//   - says POD: what the process in a Pod prints when it is asked for its status;
//   - raw PATH: what the API server answers at a path;
//   - kubectl lanlord ARGUMENTS: what the command prints, and with which status it exits if that is not 0.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d scenarios, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			w := newScenario(t, archive)
			for i, part := range archive.Files {
				line, is := strings.CutPrefix(part.Name, "kubectl lanlord")
				if !is {
					continue
				}
				got := w.run(words(line)...)
				if *update {
					archive.Files[i].Data = []byte(got)
				} else if got != string(part.Data) {
					t.Errorf("%s prints\n%s\nwant\n%s", part.Name, got, part.Data)
				}
			}
			if *update {
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// scenario is a cluster that stands still.
type scenario struct {
	t      testing.TB
	client *fake.Clientset
	says   map[string][]byte
	raw    map[string][]byte
	denied []string
	// asked replaces says if it is not nil.
	asked func(target) ([]byte, error)
	now   func() time.Time
}

func newScenario(t testing.TB, archive *txtar.Archive) *scenario {
	w := &scenario{t: t, says: map[string][]byte{}, raw: map[string][]byte{}, now: func() time.Time { return noon }}
	var objects []runtime.Object
	for _, part := range archive.Files {
		word, rest, _ := strings.Cut(part.Name, " ")
		switch word {
		case "objects.yaml":
			objects = decode(t, part.Data)
		case "says":
			w.says[rest] = part.Data
		case "raw":
			w.raw[rest] = part.Data
		case "forbidden":
			w.denied = strings.Split(strings.TrimSpace(string(part.Data)), "\n")
		}
	}
	w.client = fake.NewClientset(objects...)
	w.client.PrependReactor("*", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
		return w.forbids(action)
	})
	return w
}

func decode(t testing.TB, data []byte) (objects []runtime.Object) {
	for document := range strings.SplitSeq(string(data), "\n---\n") {
		o, _, err := scheme.Codecs.UniversalDeserializer().Decode([]byte(document), nil, nil)
		if err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		objects = append(objects, o)
	}
	return objects
}

// forbids denies what is in the part "forbidden".
func (w *scenario) forbids(action clienttesting.Action) (bool, runtime.Object, error) {
	right, name := action.GetVerb()+" "+action.GetResource().Resource, ""
	if get, ok := action.(clienttesting.GetAction); ok {
		name = get.GetName()
	}
	everywhere := action.GetNamespace() == ""
	for _, denied := range w.denied {
		what, where, _ := strings.Cut(denied, " in ")
		if (what == right || what == right+"/"+name) && (where == "" || where == "all" && everywhere) {
			return true, nil, forbidden(action.GetResource().Resource, name)
		}
	}
	return false, nil, nil
}

func forbidden(resource, name string) error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: resource}, name, errors.New("no"))
}

// reach is the connector to the scenario.
func (w *scenario) reach(clientcmd.ClientConfig) (access, error) {
	return access{
		client: w.client,
		execute: func(_ context.Context, t target) ([]byte, error) {
			if slices.Contains(w.denied, "create pods/exec") {
				return nil, forbidden("pods", t.pod)
			}
			if len(t.command) != 2 || t.command[1] != "status" || t.command[0] != "/"+t.container {
				return nil, fmt.Errorf("command %q in the container %s", t.command, t.container)
			}
			if w.asked != nil {
				return w.asked(t)
			}
			if said, ok := w.says[t.pod]; ok {
				return said, nil
			}
			return nil, errors.New("error dialing backend: dial tcp 192.0.2.9:10250: connect: no route to host")
		},
		raw: func(_ context.Context, path string) ([]byte, error) {
			if slices.Contains(w.denied, "get "+path) {
				return nil, forbidden(path, "")
			}
			if text, ok := w.raw[path]; ok {
				return text, nil
			}
			return nil, apierrors.NewNotFound(schema.GroupResource{}, path)
		},
	}, nil
}

// words splits a line; "" is an empty word.
func words(line string) []string {
	words := strings.Fields(line)
	for i, w := range words {
		words[i] = strings.Trim(w, `"`)
	}
	return words
}

// run runs a command line and returns what it prints.
func (w *scenario) run(args ...string) string {
	var stdout, stderr bytes.Buffer
	status := w.start(w.t.Context(), &stdout, &stderr, args...)
	text := stdout.String() + stderr.String()
	if status != exitOK {
		text += fmt.Sprintf("[exit %d]\n", status)
	}
	return text
}

func (w *scenario) start(ctx context.Context, stdout, stderr io.Writer, args ...string) int {
	return run(ctx, append([]string{"kubectl-lanlord"}, args...), world{w.reach, w.now, "v1.0.0-test"}, stdout, stderr)
}

// TestMain keeps the user's own kubeconfig out of the tests.
func TestMain(m *testing.M) {
	os.Setenv("KUBECONFIG", "testdata/kubeconfig")
	os.Setenv("HOME", "/nonexistent")
	m.Run()
}
