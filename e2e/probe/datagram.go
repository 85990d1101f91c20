package probe

import (
	"context"
	"errors"
	"net"
	"time"
)

var errOtherDatagram = errors.New("another datagram came back")

// Datagrams sends UDP datagrams at a fixed rate, each from a new port, and reports which did not come back. No connection holds
// them to the node that the first of them went to: one that is lost was lost by the network.
func Datagrams(ctx context.Context, load Load) (Traffic, error) {
	return load.send(ctx, load.Target, func() (string, error) { return "", sendBack(load.Target, load.Timeout) })
}

// sendBack sends one datagram and waits for it to come back.
func sendBack(target string, timeout time.Duration) error {
	conn, err := net.DialTimeout("udp", target, timeout)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	sent := conn.LocalAddr().String()
	if _, err := conn.Write([]byte(sent)); err != nil {
		return err
	}
	back := make([]byte, 128)
	n, err := conn.Read(back)
	if err != nil {
		return err
	}
	if string(back[:n]) != sent {
		return errOtherDatagram
	}
	return nil
}
