package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/lanlord/lanlord/pkg/daemon"
	"github.com/lanlord/lanlord/pkg/kube"
)

var update = flag.Bool("update", false, "write what the commands print into testdata")

// noon is the time at which the commands of the scenarios run.
var noon = time.Date(2026, time.June, 1, 12, 0, 0, 0, time.UTC)

// TestScenarios runs the command lines in testdata against the clusters there. A file has these parts:
//   - objects.yaml: the objects of the API server;
//   - forbidden: missing rights, as "verb resource" or "verb resource/name" on a line each;
//   - says POD: the status that the process in a Pod prints;
//   - says POD path ADDRESS: what the speaker in a Pod finds about the path to an address;
//   - raw PATH: the answer of the API server at a path;
//   - raw POD: the reason why the controller does not pass on the status of a Pod;
//   - kubectl lanlord ARGUMENTS: the output of the command, and the exit status if the status is not 0.
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

// scenario is a cluster that does not change by itself.
type scenario struct {
	// forward and browse replace the parts of the world that page uses.
	forward func(context.Context, forwarding) error
	browse  func(url string) error

	t      testing.TB
	client *fake.Clientset
	says   map[string][]byte
	paths  map[string][]byte // what speakers find about paths
	raw    map[string][]byte
	denied []string
	// asked replaces says if asked is not nil. With hangs, no process answers until the context ends.
	asked func(target) ([]byte, error)
	hangs atomic.Bool
	now   func() time.Time
}

func newScenario(t testing.TB, archive *txtar.Archive) *scenario {
	w := &scenario{t: t, says: map[string][]byte{}, paths: map[string][]byte{}, raw: map[string][]byte{}, now: func() time.Time { return noon }}
	var objects []runtime.Object
	for _, part := range archive.Files {
		word, rest, _ := strings.Cut(part.Name, " ")
		switch word {
		case "objects.yaml":
			objects = decode(t, part.Data)
		case "says":
			if strings.Contains(rest, " path ") {
				w.paths[rest] = part.Data
			} else {
				w.says[rest] = part.Data
			}
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

// forbids denies the requests in the part "forbidden".
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
		client:  w.client,
		watcher: func() (kube.Client, error) { return nil, errors.New("a scenario cannot be watched") },
		execute: func(ctx context.Context, t target) ([]byte, error) {
			if w.hangs.Load() {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			if slices.Contains(w.denied, "create pods/exec") {
				return nil, forbidden("pods", t.pod)
			}
			if len(t.command) == 3 && t.command[1] == "path" && t.command[0] == "/"+t.container {
				if said, ok := w.paths[t.pod+" path "+t.command[2]]; ok {
					return said, nil
				}
				return nil, errors.New("command terminated with exit code 2: lanlord-speaker: unexpected argument \"path\"")
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
		forward: w.forward,
		logs: func(_ context.Context, l logs) ([]byte, error) {
			if slices.Contains(w.denied, "get pods/log") {
				return nil, forbidden("pods", l.pod)
			}
			if l.previous {
				return nil, errors.New("previous terminated container not found")
			}
			return w.raw["log "+l.pod], nil
		},
		raw: func(_ context.Context, path string) ([]byte, error) {
			if slices.Contains(w.denied, "get "+path) {
				return nil, forbidden(path, "")
			}
			if path == "/api/v1/namespaces/lanlord-system/services/lanlord-status:status/proxy/statuses.sealed" {
				return w.statuses()
			}
			if text, ok := w.raw[path]; ok {
				return text, nil
			}
			return nil, apierrors.NewNotFound(schema.GroupResource{}, path)
		},
	}, nil
}

// statuses returns the statuses that the controller passes on, encrypted with the key in the Secret.
func (w *scenario) statuses() ([]byte, error) {
	secret, err := w.client.CoreV1().Secrets("lanlord-system").Get(w.t.Context(), "lanlord-viewer", metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	all := daemon.Statuses{Problems: map[string]string{}}
	for pod, text := range w.says {
		sealed, err := daemon.Seal(secret.Data["key-1"], pod, text)
		if err != nil {
			return nil, err
		}
		if problem, is := w.raw[pod]; is {
			all.Problems[pod] = strings.TrimSpace(string(problem))
			continue
		}
		all.Sealed = append(all.Sealed, sealed)
	}
	return json.Marshal(all)
}

// words splits a line into words. The word "" stands for an empty word.
func words(line string) []string {
	words := strings.Fields(line)
	for i, w := range words {
		words[i] = strings.Trim(w, `"`)
	}
	return words
}

// run runs a command line and returns the output.
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
	return run(ctx, append([]string{"kubectl-lanlord"}, args...), world{w.reach, w.now, "v1.0.0-test", w.browse}, stdout, stderr)
}

// TestMain keeps the user's own kubeconfig out of the tests.
func TestMain(m *testing.M) {
	os.Setenv("KUBECONFIG", "testdata/kubeconfig")
	os.Setenv("HOME", "/nonexistent")
	m.Run()
}

// TestOldStatusIsNotShown checks that openAll refuses a recorded status, the status of another Pod, and a status
// encrypted with another key.
func TestOldStatusIsNotShown(t *testing.T) {
	key, other := []byte("0123456789abcdef"), []byte("fedcba9876543210")
	seal := func(key []byte, pod string, at time.Time) daemon.Sealed {
		sealed, err := daemon.Seal(key, pod, fmt.Appendf(nil, `{"time": %q}`, at.Format(time.RFC3339)))
		if err != nil {
			t.Fatal(err)
		}
		return sealed
	}
	renamed := seal(key, "a", noon)
	renamed.Pod = "renamed"
	s := openAll(daemon.Statuses{Sealed: []daemon.Sealed{
		seal(key, "now", noon.Add(time.Minute)), seal(key, "old", noon.Add(-time.Hour)), seal(key, "ahead", noon.Add(time.Hour)),
		seal(other, "other-key", noon), renamed,
	}, Problems: map[string]string{"silent": "no route to host"}}, key, noon)
	if text, silence := s.of("now"); silence != "" || len(text) == 0 {
		t.Errorf("the status of now is not shown: %s", silence)
	}
	for pod, want := range map[string]string{
		"old": "an old answer was repeated", "ahead": "the clocks differ", "other-key": "another key", "renamed": "decrypt",
		"silent": "no route to host", "unknown": "did not ask",
	} {
		if text, silence := s.of(pod); !strings.Contains(silence, want) || text != nil {
			t.Errorf("%s: %s, %s", pod, text, silence)
		}
	}
}

// TestRefusalIsMissingRight checks that refusal recognizes a missing right to execute in the text of the client's
// error.
func TestRefusalIsMissingRight(t *testing.T) {
	for text, want := range map[string]bool{
		`unable to upgrade connection: pods "a" is forbidden: User "u" cannot create resource "pods/exec" in API group "" in the namespace "n"`: true,
		`unable to upgrade connection: pods "a" is forbidden: User "u" cannot get resource "pods/exec" in API group "" in the namespace "n"`:    true,
		`unable to upgrade connection: container not found ("speaker")`:                                                                         false,
		`error dialing backend: dial tcp 192.0.2.9:10250: connect: no route to host`:                                                            false,
	} {
		if err := refusal(errors.New(text), target{pod: "a"}); apierrors.IsForbidden(err) != want || !strings.Contains(err.Error(), text) {
			t.Errorf("%s is forbidden: %t", err, !want)
		}
	}
	if refusal(nil, target{}) != nil {
		t.Error("no error is one")
	}
}

// TestAPIServerIsQuoted checks that the error has the message of the API server instead of the client's text for the
// status code.
func TestAPIServerIsQuoted(t *testing.T) {
	said := errors.New("the server is currently unable to handle the request")
	for body, want := range map[string]string{
		`{"kind": "Status", "status": "Failure", "message": "no endpoints available", "reason": "ServiceUnavailable", "code": 503}`: "no endpoints available",
		`the processes could not be listed`: said.Error(),
		`{"kind": "List"}`:                  said.Error(),
	} {
		if err := explained([]byte(body), said); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", body, err, want)
		}
	}
	if err := explained([]byte(`{"kind": "Status", "message": "well"}`), nil); err != nil {
		t.Errorf("an answer is an error: %v", err)
	}
	status := `{"kind": "Status", "message": "no", "reason": "Forbidden", "code": 403}`
	if err := explained([]byte(status), said); !apierrors.IsForbidden(err) {
		t.Errorf("%v is no missing right", err)
	}
}
