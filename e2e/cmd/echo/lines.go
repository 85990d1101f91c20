package main

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
)

// echoBytes sends back what comes on each connection (RFC 862) until the context ends, and then closes them all: a pod that
// is told to stop breaks the connections to it at once.
func echoBytes(ctx context.Context, listener net.Listener) error {
	var open sync.WaitGroup
	defer open.Wait()
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) && ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		open.Go(func() {
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { conn.Close() })()
			_, _ = io.Copy(conn, conn) // ends with the client
		})
	}
}
