package ether

import (
	"encoding/binary"
	"io"
	"sync"
	"time"
)

// A Trace keeps mostFrames frames, snap bytes of each.
const (
	mostFrames = 50_000
	snap       = 128
)

// Trace keeps the last frames that passed. Several goroutines may call the methods; the zero Trace is empty.
type Trace struct {
	// mu guards the ring. next is the place of the oldest frame in a full ring.
	mu   sync.Mutex
	ring []kept
	next int
}

type kept struct {
	at   time.Time
	size int
	head []byte
}

// Add adds a frame, and keeps no part of data.
func (t *Trace) Add(at time.Time, data []byte) {
	f := kept{at, len(data), append([]byte(nil), data[:min(len(data), snap)]...)}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.ring) < mostFrames {
		t.ring = append(t.ring, f)
		return
	}
	t.ring[t.next] = f
	t.next = (t.next + 1) % mostFrames
}

// Write writes the frames of a time as a file for tcpdump and Wireshark: pcap with nanoseconds, of Ethernet.
func (t *Trace) Write(w io.Writer, from, to time.Time) error {
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
