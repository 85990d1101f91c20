//go:build !linux

package layer2

import (
	"context"
	"errors"
	"log/slog"
)

// errNotLinux means that this system has no packet sockets. Only the kubectl plugin is built for such systems.
var errNotLinux = errors.New("layer 2 needs Linux")

// host has no interfaces on this system.
type host struct{}

func newHost(*slog.Logger, []string) host { return host{} }

// Watch implements Network.
func (host) Watch(context.Context, func(HostState)) error { return errNotLinux }

// ListenARP implements Network.
func (host) ListenARP(Interface) (Conn, error) { return nil, errNotLinux }

// ListenNDP implements Network.
func (host) ListenNDP(Interface) (GroupConn, error) { return nil, errNotLinux }

// ListenPing implements Network.
func (host) ListenPing(Interface, Protocol) (Conn, error) { return nil, errNotLinux }
