package soak

import (
	"encoding/binary"
	"io"
	"sync"
	"time"
)

// Of a trace, mostFrames are kept, snap bytes of each.
const (
	mostFrames = 50_000
	snap       = 128
)

// trace keeps the last frames that passed.
type trace struct {
	// mu guards the ring, which several goroutines put frames into.
	mu   sync.Mutex
	ring []frame
	next int
}

type frame struct {
	at   time.Time
	size int
	head []byte
}

// add puts a frame into the ring. It keeps no part of data.
func (t *trace) add(at time.Time, data []byte) {
	f := frame{at, len(data), append([]byte(nil), data[:min(len(data), snap)]...)}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.ring) < mostFrames {
		t.ring = append(t.ring, f)
		return
	}
	t.ring[t.next] = f
	t.next = (t.next + 1) % mostFrames
}

// write writes the frames of a time as a file that tcpdump and Wireshark read: pcap with nanoseconds, of Ethernet.
func (t *trace) write(w io.Writer, from, to time.Time) error {
	b := binary.LittleEndian.AppendUint32(nil, 0xa1b23c4d)
	b = binary.LittleEndian.AppendUint16(b, 2)
	b = binary.LittleEndian.AppendUint16(b, 4)
	b = append(b, make([]byte, 8)...)
	b = binary.LittleEndian.AppendUint32(b, snap)
	b = binary.LittleEndian.AppendUint32(b, 1)
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.ring {
		f := t.ring[(t.next+i)%len(t.ring)]
		if f.at.Before(from) || f.at.After(to) {
			continue
		}
		b = binary.LittleEndian.AppendUint32(b, uint32(f.at.Unix()))
		b = binary.LittleEndian.AppendUint32(b, uint32(f.at.Nanosecond()))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(f.head)))
		b = binary.LittleEndian.AppendUint32(b, uint32(f.size))
		b = append(b, f.head...)
	}
	_, err := w.Write(b)
	return err
}
