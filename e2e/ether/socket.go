package ether

import (
	"encoding/binary"
	"errors"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ReceiveTimeout is the longest time for which a read of a socket of Listen blocks.
const ReceiveTimeout = 100 * time.Millisecond

// Listen opens a packet socket for an interface and a type of frame; [unix.ETH_P_ALL] is for all types. The socket receives
// also frames to other hosts, but no frames of its own host. [Arrival] reads the times of arrival.
func Listen(index int, kind uint16) (fd int, err error) {
	return open(index, kind, 64<<20, func(fd int) error {
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	})
}

// Carry opens a packet socket that receives and sends all frames of an interface, with the header that the kernel puts
// before a frame whose checksum is not complete yet, or whose segments are not cut yet ([unix.PACKET_VNET_HDR]).
func Carry(index int) (fd int, err error) {
	return open(index, unix.ETH_P_ALL, 4<<20, func(fd int) error {
		return unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1)
	})
}

// open opens a packet socket in promiscuous mode with a receive buffer of so many bytes.
func open(index int, kind uint16, buffer int, more func(fd int) error) (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	timeout := unix.NsecToTimeval(ReceiveTimeout.Nanoseconds())
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout),
		unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP,
			&unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC}),
		more(fd),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: kind<<8 | kind>>8, Ifindex: index}),
	)
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// Arrival reads the kernel's time of arrival from the control messages of a packet, and returns the time of now if there
// is none.
func Arrival(control []byte) time.Time {
	messages, err := unix.ParseSocketControlMessage(control)
	for _, m := range messages {
		if err == nil && m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= int(unsafe.Sizeof(unix.Timespec{})) {
			return time.Unix(int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:])))
		}
	}
	return time.Now()
}
