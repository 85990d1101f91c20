// Command echo answers every HTTP request with one line of JSON that says which
// pod answered and what it saw of the request. On another port it sends back what
// it gets, for connections that are to last and for datagrams.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// answer is the line. Client tells whether the load balancer kept the client's address.
type answer struct {
	Pod    string `json:"pod"`
	Node   string `json:"node,omitempty"` // from NODE_NAME, if the Deployment sets it
	Method string `json:"method"`
	Path   string `json:"path"`
	Host   string `json:"host"`
	Client string `json:"client"`
}

func main() {
	listen := flag.String("listen", ":80", "address to serve HTTP on")
	lines := flag.String("echo", ":7", "address to send everything back on (RFC 862)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return serve(ctx, *listen) })
	group.Go(func() error {
		listener, err := net.Listen("tcp", *lines)
		if err != nil {
			return err
		}
		return echoBytes(ctx, listener)
	})
	group.Go(func() error {
		conn, err := net.ListenPacket("udp", *lines)
		if err != nil {
			return err
		}
		return echoDatagrams(ctx, conn)
	})
	if err := group.Wait(); err != nil {
		fmt.Fprintln(os.Stderr, "echo:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, listen string) error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	handler := newHandler(cmp.Or(os.Getenv("POD_NAME"), host), os.Getenv("NODE_NAME"))
	server := &http.Server{Addr: listen, Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-ctx.Done()
		// Requests under way are answered: a Deployment that is scaled down loses none.
		grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(grace)
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-done
	return nil
}

func newHandler(pod, node string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer{
			Pod:    pod,
			Node:   node,
			Method: r.Method,
			Path:   r.URL.Path,
			Host:   r.Host,
			Client: r.RemoteAddr,
		})
	})
}
