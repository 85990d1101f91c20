package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"golang.org/x/tools/txtar"
)

// opened starts the command page, and returns the printed address of the page and a function that ends the command and
// returns its exit status and standard error.
func opened(t *testing.T, w *scenario, args ...string) (url string, end func() (int, string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	var stderr strings.Builder
	done := make(chan int, 1)
	go func() {
		done <- w.start(ctx, in, &stderr, append([]string{"page"}, args...)...)
		in.Close()
	}()
	end = func() (int, string) {
		cancel()
		go func() { _, _ = io.Copy(io.Discard, out) }() // the command may still print
		return <-done, stderr.String()
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		status, text := end()
		t.Fatalf("page ends with status %d: %v: %s", status, err, text)
	}
	_, rest, _ := strings.Cut(line, "http://")
	url, _, _ = strings.Cut(rest, " ")
	return "http://" + url, end
}

// got returns the body of a page.
func got(t *testing.T, url, host string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = host
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func scenarioOf(t *testing.T, name string) *scenario {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/" + name + ".txtar")
	if err != nil {
		t.Fatal(err)
	}
	return newScenario(t, archive)
}

// TestPageOfViewer has users without the right to forward ports open the page. The command must name the missing right
// and make the page from what each user may read.
func TestPageOfViewer(t *testing.T) {
	for name, want := range map[string]struct {
		note, page string
	}{
		"healthy":         {"the right to create pods/portforward in lanlord-system is missing", `<a href="?node=n2">n2</a>`},
		"viewer":          {"the right to create pods/portforward in lanlord-system is missing", `<a href="?node=n2">n2</a>`},
		"namespace-admin": {"the right to list pods in lanlord-system is missing", "not known"},
	} {
		w := scenarioOf(t, name)
		w.forward = func(_ context.Context, f forwarding) error { return forbidden("pods/portforward", f.pod) }
		browsed := ""
		var once sync.Once
		opening := make(chan struct{})
		w.browse = func(url string) error {
			browsed = url
			once.Do(func() { close(opening) })
			return nil
		}
		url, end := opened(t, w)
		if code, text := got(t, url, ""); code != http.StatusOK || !strings.Contains(text, "default%2Fweb") || !strings.Contains(text, want.page) {
			t.Errorf("%s: the page is %d\n%s", name, code, text)
		}
		if _, text := got(t, url+"service?name=default/web", ""); !strings.Contains(text, "Addresses of the Service") {
			t.Errorf("%s: the page of a Service is\n%s", name, text)
		}
		if code, _ := got(t, url, "evil.example"); code != http.StatusForbidden {
			t.Errorf("%s: a page on the web may read this page: %d", name, code)
		}
		<-opening
		if status, said := end(); status != exitOK || !strings.Contains(said, want.note) || browsed != url {
			t.Errorf("%s: exit status %d, browser %q, want %q\n%s", name, status, browsed, url, said)
		}
	}
}

// TestPageForwards checks which Pod and port the command forwards to, and that the command connects again after the
// loss of the connection, on the same port.
func TestPageForwards(t *testing.T) {
	w := scenarioOf(t, "healthy")
	again := make(chan forwarding, 1)
	calls := 0
	w.forward = func(ctx context.Context, f forwarding) error {
		calls++
		if calls == 1 {
			if f.namespace != "lanlord-system" || f.pod != "controller-1" || f.remote != 7573 || f.local != 0 {
				t.Errorf("the port leads to %+v", f)
			}
			f.ready(40123)
			return errLostPod
		}
		f.ready(40123)
		again <- f
		<-ctx.Done()
		return ctx.Err()
	}
	url, end := opened(t, w, "--no-browser")
	if url != "http://localhost:40123/" {
		t.Errorf("the page is at %s", url)
	}
	if f := <-again; f.local != 40123 {
		t.Errorf("the new connection is on the port %d", f.local)
	}
	if status, said := end(); status != exitOK || !strings.Contains(said, "the connection to the controller is lost") {
		t.Errorf("exit status %d\n%s", status, said)
	}
}

// TestPagePort checks the errors for a port.
func TestPagePort(t *testing.T) {
	w := scenarioOf(t, "healthy")
	for _, port := range []string{"-1", "65536"} {
		if text := w.run("page", "--port="+port); !strings.Contains(text, "is no port: must be from 1 to 65535") {
			t.Errorf("--port=%s: %s", port, text)
		}
	}
}
