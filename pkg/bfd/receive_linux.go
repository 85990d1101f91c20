package bfd

import (
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// batchSize is the number of packets that one call takes from the kernel.
	batchSize = 16
	// drainLimit is the number of packets after which a socket counts as drained: all that waited in receiveBuffer when
	// the round began have then been read. A flood cannot stop the loop.
	drainLimit = 256
	// datagramSize holds each packet that the length field can describe.
	datagramSize = 256
	controlSize  = 128
)

// batch takes packets from a socket, several at once, without allocating.
type batch struct {
	headers  [batchSize]messageHeader
	vectors  [batchSize]unix.Iovec
	names    [batchSize]unix.RawSockaddrInet6
	controls [batchSize][controlSize]byte
	data     [batchSize][datagramSize]byte
}

// messageHeader is struct mmsghdr of recvmmsg(2).
type messageHeader struct {
	unix.Msghdr
	length uint32
}

// datagram is a received packet with what the kernel tells about it.
type datagram struct {
	payload []byte
	from    netip.Addr
	// ttl is the TTL or hop limit, -1 if the kernel does not tell.
	ttl int
	// index is the interface of arrival.
	index int
	// arrived is the time of arrival by the wall clock, 0 if the kernel does not tell. The kernel has no monotonic time
	// for that: a clock that is set makes a wrong sample of lateness, and nothing else.
	arrived int64
}

func newBatch() *batch {
	b := &batch{}
	for i := range b.headers {
		b.vectors[i].Base = &b.data[i][0]
		b.vectors[i].SetLen(datagramSize)
		b.headers[i].Iov = &b.vectors[i]
		b.headers[i].SetIovlen(1)
		b.headers[i].Name = (*byte)(unsafe.Pointer(&b.names[i]))
		b.headers[i].Control = &b.controls[i][0]
	}
	return b
}

// receive takes up to batchSize packets. The call is so short that the scheduler of Go need not know about it.
func (b *batch) receive(fd int) (int, unix.Errno) {
	for i := range b.headers {
		b.headers[i].Namelen = uint32(unsafe.Sizeof(b.names[i]))
		b.headers[i].SetControllen(controlSize)
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.headers)), batchSize,
		unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// datagram returns packet i of the last call of receive. The payload is valid until the next call.
func (b *batch) datagram(i int) datagram {
	h := &b.headers[i]
	d := datagram{payload: b.data[i][:min(int(h.length), datagramSize)], ttl: -1}
	if name := &b.names[i]; name.Family == unix.AF_INET {
		d.from = netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(name)).Addr)
	} else {
		d.from = netip.AddrFrom16(name.Addr)
	}
	rest := b.controls[i][:min(int(h.Controllen), controlSize)]
	for len(rest) >= unix.CmsgLen(0) {
		header, data, remainder, err := unix.ParseOneSocketControlMessage(rest)
		if err != nil {
			break
		}
		d.tell(header, data)
		rest = remainder
	}
	return d
}

// tell takes up one control message.
func (d *datagram) tell(h unix.Cmsghdr, data []byte) {
	is := func(level, kind int32, size uintptr) bool {
		return h.Level == level && h.Type == kind && uintptr(len(data)) >= size
	}
	switch {
	case is(unix.SOL_IP, unix.IP_TTL, 4), is(unix.SOL_IPV6, unix.IPV6_HOPLIMIT, 4):
		d.ttl = int(*(*int32)(unsafe.Pointer(&data[0])))
	case is(unix.SOL_IP, unix.IP_PKTINFO, unsafe.Sizeof(unix.Inet4Pktinfo{})):
		d.index = int((*unix.Inet4Pktinfo)(unsafe.Pointer(&data[0])).Ifindex)
	case is(unix.SOL_IPV6, unix.IPV6_PKTINFO, unsafe.Sizeof(unix.Inet6Pktinfo{})):
		d.index = int((*unix.Inet6Pktinfo)(unsafe.Pointer(&data[0])).Ifindex)
	case is(unix.SOL_SOCKET, unix.SCM_TIMESTAMPNS, unsafe.Sizeof(unix.Timespec{})):
		d.arrived = (*unix.Timespec)(unsafe.Pointer(&data[0])).Nano()
	}
}

// waited returns how long the packet waited before now, 0 if that is not known or impossible.
func (d *datagram) waited(now time.Time) time.Duration {
	waited := time.Duration(now.UnixNano() - d.arrived)
	if d.arrived == 0 || waited < 0 || waited > time.Minute {
		return 0
	}
	return waited
}
