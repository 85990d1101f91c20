package main

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/tools/txtar"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanlord/lanlord/pkg/kube"
	"github.com/lanlord/lanlord/pkg/status"
)

// mover makes the speakers of a scenario follow the preferred node of default/web as real speakers do: the election
// changes at once, and the owner changes after a delay.
type mover struct {
	*scenario
	// elects is the elected node without a preferred node. unable is a node that may not answer. delay is the duration
	// of a move.
	elects, unable string
	delay          time.Duration

	mu     sync.Mutex
	holder string
	since  time.Time
	wish   string
}

func newMover(t *testing.T) *mover {
	archive, err := txtar.ParseFile("testdata/healthy.txtar")
	if err != nil {
		t.Fatal(err)
	}
	m := &mover{scenario: newScenario(t, archive), elects: "n2", holder: "n2", delay: 2 * time.Second}
	m.now = time.Now
	m.asked = m.answer
	return m
}

func (m *mover) answer(asked target) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if asked.container == controllerComponent {
		return m.says[asked.pod], nil
	}
	o, err := m.client.CoreV1().Services("default").Get(context.Background(), "web", metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	if wish := o.Annotations[kube.PreferNodeAnnotation]; wish != m.wish {
		m.wish, m.since = wish, time.Now()
	}
	elected := m.elects
	if m.wish != "" && m.wish != m.unable {
		elected = m.wish
	}
	if time.Since(m.since) >= m.delay {
		m.holder = elected
	}
	var s status.Speaker
	if err := json.Unmarshal(m.says[asked.pod], &s); err != nil {
		return nil, err
	}
	const addr = "10.0.0.100"
	s.Owned = slices.DeleteFunc(s.Owned, func(o status.Owned) bool { return o.Address == addr })
	s.Watched = slices.DeleteFunc(s.Watched, func(w status.Watched) bool { return w.Address == addr })
	if s.Node == m.holder {
		s.Owned = append(s.Owned, status.Owned{Address: addr, Services: []string{"default/web"}, Elected: elected, Reason: "wish"})
	} else {
		s.Watched = append(s.Watched, status.Watched{Address: addr, Services: []string{"default/web"}, Elected: elected, Reason: "NotElected"})
	}
	return json.Marshal(s)
}

// command runs a command line and returns the output and the elapsed time.
func (m *mover) command(line string) (string, time.Duration) {
	began := time.Now()
	return m.run(strings.Fields(line)...), time.Since(began)
}

func (m *mover) annotation() string {
	o, err := m.client.CoreV1().Services("default").Get(context.Background(), "web", metav1.GetOptions{})
	if err != nil {
		m.t.Fatal(err)
	}
	return o.Annotations[kube.PreferNodeAnnotation]
}

func TestMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMover(t)
		got, took := m.command("move web n3")
		if want := "ADDRESS      FROM   TO\n10.0.0.100   n2     n3\n"; got != want || took < 2*time.Second || took > 3*time.Second {
			t.Errorf("after %v it prints\n%swant\n%s", took, got, want)
		}
		if a := m.annotation(); a != "n3" {
			t.Errorf("the annotation is %q", a)
		}
		m.delay = time.Minute // failback
		got, took = m.command("move default/web --back")
		if want := "ADDRESS      FROM   TO\n10.0.0.100   n3     n2\n"; got != want || took < time.Minute || took > time.Minute+time.Second {
			t.Errorf("after %v it prints\n%swant\n%s", took, got, want)
		}
		if a := m.annotation(); a != "" {
			t.Errorf("the annotation is %q", a)
		}
	})
}

func TestMoveWithoutWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMover(t)
		if got, took := m.command("move web n3 --wait=false -o json"); !strings.Contains(got, `"node": "n3"`) || took > time.Second || m.annotation() != "n3" {
			t.Errorf("after %v with the annotation %q it prints\n%s", took, m.annotation(), got)
		}
	})
}

// TestMoveInVain asks for a node that may not answer. The election shows after a while that the node is not elected.
func TestMoveInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMover(t)
		m.unable = "n1"
		got, took := m.command("move web n1")
		if !strings.Contains(got, "The election names n2 for 10.0.0.100 and not n1") || !strings.HasSuffix(got, "[exit 1]\n") || took > time.Minute {
			t.Errorf("after %v it prints\n%s", took, got)
		}
	})
}

// TestFailedMoveLeavesNothing checks that the annotation is as before after each way in which a move fails.
func TestFailedMoveLeavesNothing(t *testing.T) {
	const restored = "the annotation lanlord.io/prefer-node is as before"
	for name, c := range map[string]struct {
		line, before string
		// meanwhile changes something while move waits.
		meanwhile func(*mover, context.CancelFunc)
		want      string
		status    int
		left      string
	}{
		"a node that may not answer":         {line: "move web n1", want: restored, status: exitWrong},
		"the time is over":                   {line: "move web n3 --timeout 5s", want: restored, status: exitWrong},
		"a former preference":                {line: "move web n1", before: "n3", want: restored, status: exitWrong, left: "n3"},
		"a former preference without a node": {line: "move web n1", before: "n 3", want: restored, status: exitWrong, left: "n 3"},
		"the user interrupts": {
			line: "move web n3", want: restored, status: exitError,
			meanwhile: func(_ *mover, cancel context.CancelFunc) { cancel() },
		},
		"the processes stop answering": {
			line: "move web n3 --timeout 8s", want: restored, status: exitWrong,
			meanwhile: func(m *mover, _ context.CancelFunc) { m.hangs.Store(true) },
		},
		"somebody else changes the annotation": {
			line: "move web n1", want: "somebody else has changed the annotation", status: exitWrong, left: "n2",
			meanwhile: func(m *mover, _ context.CancelFunc) { m.annotate("n2") },
		},
		"the Service is deleted": {
			line: "move web n3", want: "the Service is gone", status: exitError,
			meanwhile: func(m *mover, _ context.CancelFunc) {
				if err := m.client.CoreV1().Services("default").Delete(context.Background(), "web", metav1.DeleteOptions{}); err != nil {
					m.t.Error(err)
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMover(t)
				m.unable, m.delay = "n1", time.Hour
				if c.before != "" {
					m.annotate(c.before)
				}
				m.wish = c.before
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if c.meanwhile != nil {
					go func() {
						time.Sleep(3 * time.Second)
						c.meanwhile(m, cancel)
					}()
				}
				var out bytes.Buffer
				status := m.start(ctx, &out, &out, strings.Fields(c.line)...)
				if status != c.status || !strings.Contains(out.String(), c.want) {
					t.Errorf("exit status %d, want %d with %q:\n%s", status, c.status, c.want, out.String())
				}
				if name != "the Service is deleted" {
					if a := m.annotation(); a != c.left {
						t.Errorf("the annotation is %q, want %q", a, c.left)
					}
				}
			})
		})
	}
}

// annotate sets the annotation as another user does.
func (m *mover) annotate(node string) {
	services := m.client.CoreV1().Services("default")
	o, err := services.Get(context.Background(), "web", metav1.GetOptions{})
	if err != nil {
		m.t.Error(err)
		return
	}
	o.Annotations[kube.PreferNodeAnnotation] = node
	if _, err := services.Update(context.Background(), o, metav1.UpdateOptions{}); err != nil {
		m.t.Error(err)
	}
}

// TestTimeoutBoundsEveryCommand runs each command while no process of Lanlord answers.
func TestTimeoutBoundsEveryCommand(t *testing.T) {
	const limit = 8 * time.Second
	for _, line := range []string{
		"status", "pools", "services", "who 10.0.0.100", "why web", "move web n3", "move web --back", "peers", "routes", "routes web",
		"doctor", "version", "watch --for 1s",
	} {
		t.Run(line, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMover(t)
				m.hangs.Store(true)
				got, took := m.command(line + " --timeout " + limit.String())
				if took > limit {
					t.Errorf("after %v it prints\n%s", took, got)
				}
				if line == "why web" && !strings.Contains(got, "no speaker could be asked") {
					t.Errorf("a process that does not answer leaves no time for the rest:\n%s", got)
				}
			})
		})
	}
}

// TestDoctorWaits checks that doctor --wait ends when all is well, and at the latest after --timeout.
func TestDoctorWaits(t *testing.T) {
	for _, c := range []struct {
		line   string
		status int
		well   time.Duration
		ends   time.Duration
	}{
		{"doctor --wait --timeout 1m", exitOK, 5 * time.Second, 10 * time.Second},
		{"doctor --wait --timeout 10s", exitWrong, time.Hour, 10 * time.Second},
		{"doctor --timeout 10s", exitWrong, 5 * time.Second, time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := newMover(t)
			m.now = func() time.Time { return noon }
			good := m.says["speaker-2"]
			m.mu.Lock()
			m.says["speaker-2"] = bytes.Replace(good, []byte(`"carrier": true, "used": true`), []byte(`"carrier": false, "used": true`), 1)
			m.mu.Unlock()
			go func() {
				time.Sleep(c.well)
				m.mu.Lock()
				defer m.mu.Unlock()
				m.says["speaker-2"] = good
			}()
			began := time.Now()
			var out bytes.Buffer
			status := m.start(t.Context(), &out, &out, strings.Fields(c.line)...)
			if took := time.Since(began); status != c.status || took > c.ends {
				t.Errorf("%s: exit status %d after %v, want %d within %v\n%s", c.line, status, took, c.status, c.ends, out.String())
			}
			time.Sleep(c.well) // the other goroutine ends
		})
	}
}

// TestFlagsOfTime checks that values with which a command would never end, or never begin, are refused.
func TestFlagsOfTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMover(t)
		for line, want := range map[string]string{
			"watch --for -1s":           "--for -1s is negative",
			"watch --interval 1ms":      "--interval 1ms is too short",
			"status --timeout 0":        "--timeout 0s is too short",
			"watch --timeout -1s":       "--timeout -1s is too short",
			"move web n3 --timeout -1s": "--timeout -1s is too short",
		} {
			if got, _ := m.command(line); !strings.Contains(got, want) || !strings.HasSuffix(got, "[exit 2]\n") {
				t.Errorf("%s prints\n%swant %s", line, got, want)
			}
		}
	})
}

// TestMoveRefused checks that move changes nothing if the move cannot succeed.
func TestMoveRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMover(t)
		for line, want := range map[string]string{
			"move web n9":         `there is no node "n9"`,
			"move nowhere n3":     "there is no Service default/nowhere",
			"move web":            "takes a Service and a node, or a Service and --back",
			"move web n3 --back":  "takes one Service and no node with --back",
			"move a/b/c n3":       `"a/b/c" names no Service`,
			"move web n3 -o gold": `unknown output format "gold"`,
		} {
			if got, _ := m.command(line); !strings.Contains(got, want) || !strings.HasSuffix(got, "[exit 2]\n") {
				t.Errorf("%s prints\n%swant %s", line, got, want)
			}
		}
		if a := m.annotation(); a != "" {
			t.Errorf("the annotation is %q", a)
		}
	})
}

// TestWatch checks that watch prints a move, and nothing else.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMover(t)
		ctx, cancel := context.WithCancel(t.Context())
		var stdout, stderr bytes.Buffer
		ended := make(chan int)
		go func() { ended <- m.start(ctx, &stdout, &stderr, "watch", "--interval", "1s", "-o", "json") }()
		time.Sleep(5500 * time.Millisecond)
		if got, _ := m.command("move web n3"); strings.Contains(got, "exit") {
			t.Errorf("move prints %s", got)
		}
		time.Sleep(5 * time.Second)
		cancel()
		if status := <-ended; status != exitOK {
			t.Errorf("status %d, %s", status, stderr.String())
		}
		var change struct{ Object, Reason, Message string }
		if err := json.Unmarshal(stdout.Bytes(), &change); err != nil {
			t.Fatalf("%v in %q", err, stdout.String())
		}
		if want := "n3 answers for 10.0.0.100, and no longer n2"; change.Message != want || change.Reason != "Announced" || change.Object != "Service default/web" {
			t.Errorf("%+v, want %s", change, want)
		}
	})
}
