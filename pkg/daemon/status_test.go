package daemon

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// teller answers with a status of size bytes.
func teller(size int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s", r.URL.Path, strings.Repeat("x", size))
	})
}

// TestStatus gets a status over the pod's socket. The status is larger than an answer to a probe may be.
func TestStatus(t *testing.T) {
	pod := "speaker-" + rand.Text()
	const size = 3 << 20
	start(t, ServerOptions{Pod: pod, Status: teller(size)})
	var stdout bytes.Buffer
	if err := StatusCommand(t.Context(), pod, nil, &stdout); err != nil || stdout.Len() != size+len("/status.json ") {
		t.Errorf("%d bytes, %v", stdout.Len(), err)
	}
	if _, err := ask(t.Context(), probeSocket(pod), "/", maxProbeAnswer); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("the page itself on the pod's socket: %v, want 404", err)
	}
}

func TestStatusOfNobody(t *testing.T) {
	pod := "speaker-" + rand.Text()
	var stdout bytes.Buffer
	for _, test := range []struct {
		pod  string
		args []string
		want string
	}{
		{pod, nil, "nobody listens on @lanlord/" + pod},
		{"", nil, "POD_NAME is not set, so no process of this Pod can be asked for its status"},
		{pod, []string{"now"}, `status takes no more words, and not "now"`},
	} {
		if err := StatusCommand(t.Context(), test.pod, test.args, &stdout); err == nil || err.Error() != test.want {
			t.Errorf("%q %q: %v, want %s", test.pod, test.args, err, test.want)
		}
	}
	var usage *UsageError
	if err := StatusCommand(t.Context(), pod, []string{"now"}, &stdout); !errors.As(err, &usage) || stdout.Len() > 0 {
		t.Errorf("a word too many is %v, and prints %q", err, stdout.String())
	}
}

// TestLoopbackOnly checks that LoopbackOnly refuses a browser's request for another host name.
func TestLoopbackOnly(t *testing.T) {
	handler := LoopbackOnly(teller(0))
	for host, want := range map[string]int{
		"localhost:7573": 200, "localhost": 200, "127.0.0.1:7573": 200, "127.8.9.10": 200, "[::1]:7573": 200, "[::1]": 200, "[::ffff:127.0.0.1]:1": 200,
		"evil.example:7573": 403, "localhost.evil.example": 403, "192.0.2.1:7573": 403, "": 403, "127.0.0.1.evil.example": 403, "0.0.0.0:7573": 403,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = host
		w := httptest.NewRecorder()
		if handler.ServeHTTP(w, r); w.Code != want {
			t.Errorf("Host %q: %d, want %d", host, w.Code, want)
		}
	}
	for listen, want := range map[string]bool{
		"127.0.0.1:7573": true, "localhost:0": true, "[::1]:1": true, ":7573": false, "0.0.0.0:1": false, "192.0.2.1:1": false, "[::]:1": false,
	} {
		if isLoopback(listen) != want {
			t.Errorf("%s is loopback: %t", listen, !want)
		}
	}
}

// TestStatusListen serves the page on an address of its own, from two processes of a node at the same time. A third
// process continues without the page, because the address is taken.
func TestStatusListen(t *testing.T) {
	reserved, err := (&net.ListenConfig{Control: sharePort}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := reserved.Addr().String()
	for range 2 {
		start(t, ServerOptions{Pod: "speaker-" + rand.Text(), Status: teller(1), StatusListen: address, Rebindable: true})
	}
	start(t, ServerOptions{Pod: "other-" + rand.Text(), Status: teller(2), StatusListen: address})
	reserved.Close()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		// start waits for the first address of each server. The other address may open a moment later.
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		response, err := client.Get("http://" + address + "/")
		if err == nil {
			response.Body.Close()
			if response.StatusCode != http.StatusOK {
				t.Errorf("the page answers %d", response.StatusCode)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	if status, body := get(t, "http://"+address+"/x"); status != http.StatusOK || body != "/x x" {
		t.Errorf("the page is %d %q", status, body)
	}
}

// TestPath asks for a path over the pod's socket, and nowhere else.
func TestPath(t *testing.T) {
	pod := "speaker-" + rand.Text()
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Query().Get("address")) })
	start(t, ServerOptions{Pod: pod, Path: echo})
	for _, addr := range []string{"192.0.2.10", "2001:db8::10"} {
		var stdout bytes.Buffer
		if err := PathCommand(t.Context(), pod, []string{addr}, &stdout); err != nil || stdout.String() != addr {
			t.Errorf("%s: %q, %v", addr, stdout.String(), err)
		}
	}
	w := httptest.NewRecorder()
	NewServer(ServerOptions{Path: echo, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry()}).handler.ServeHTTP(w,
		httptest.NewRequest(http.MethodGet, "/path.json?address=192.0.2.10", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("the TCP port serves paths with the status %d", w.Code)
	}
	for _, args := range [][]string{nil, {"web"}, {"fe80::1%eth0"}, {"192.0.2.10", "80"}} {
		var usage *UsageError
		if err := PathCommand(t.Context(), pod, args, io.Discard); !errors.As(err, &usage) {
			t.Errorf("%q: %v, want a mistake in the command line", args, err)
		}
	}
	if err := PathCommand(t.Context(), "", []string{"192.0.2.10"}, io.Discard); !errors.Is(err, errNoPod) {
		t.Errorf("without a pod: %v", err)
	}
}
