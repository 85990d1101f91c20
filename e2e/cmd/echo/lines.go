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

// echoDatagrams sends back each datagram (RFC 862) until the context ends.
func echoDatagrams(ctx context.Context, conn net.PacketConn) error {
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	buffer := make([]byte, 1<<16)
	for {
		n, from, err := conn.ReadFrom(buffer)
		if errors.Is(err, net.ErrClosed) && ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		_, _ = conn.WriteTo(buffer[:n], from) // who is gone needs no answer
	}
}
