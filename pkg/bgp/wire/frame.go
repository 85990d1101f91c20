package wire

import "encoding/binary"

// appendHeader appends the header of a message whose length is not known yet (RFC 4271, section 4.1).
func appendHeader(b []byte, t Type) []byte {
	for range 16 {
		b = append(b, 0xff)
	}
	return append(b, 0, 0, byte(t))
}

// finish writes the length of the message that begins at start and ends with b.
func finish(b []byte, start int) []byte {
	binary.BigEndian.PutUint16(b[start+16:], uint16(len(b)-start))
	return b
}

// AppendKeepalive appends a KEEPALIVE message.
func AppendKeepalive(b []byte) []byte { return finish(appendHeader(b, TypeKeepalive), len(b)) }

// Message is a received message. Its length fits its type.
type Message struct {
	Type Type
	// Body follows the header. The next call of Framer.Write ends its validity.
	Body []byte
}

// Framer cuts the bytes of a connection into messages. The zero value is ready for use.
type Framer struct {
	buf  []byte
	read int
}

// Write adds bytes.
func (f *Framer) Write(data []byte) {
	f.buf = append(f.buf[:copy(f.buf, f.buf[f.read:])], data...)
	f.read = 0
}

// Unread returns the bytes that Next has not returned. They are valid until the next Write.
func (f *Framer) Unread() []byte { return f.buf[f.read:] }

// Next returns the next message. ok is false when more bytes are needed. The error is an *Error, and the connection of
// no use after it (RFC 4271, section 6.1).
func (f *Framer) Next() (m Message, ok bool, err error) {
	rest := f.buf[f.read:]
	if len(rest) == 0 {
		f.buf, f.read = shrink(f.buf), 0
		return m, false, nil
	}
	for _, b := range rest[:min(16, len(rest))] {
		if b != 0xff {
			return m, false, invalid(CodeHeader, 1, nil, "the marker of a message is not all ones")
		}
	}
	if len(rest) < HeaderLen {
		return m, false, nil
	}
	size, t := int(binary.BigEndian.Uint16(rest[16:])), Type(rest[18])
	if size < HeaderLen || size > MaxLen {
		return m, false, invalid(CodeHeader, 2, rest[16:18], "a message has a length of %d bytes", size)
	}
	if t == 0 || int(t) >= TypeCount {
		return m, false, invalid(CodeHeader, 3, rest[18:19], "a message has the unknown type %d", t)
	}
	if least, most := lengths(t); size < least || size > most {
		return m, false, invalid(CodeHeader, 2, rest[16:18], "a message of type %v has a length of %d bytes", t, size)
	}
	if len(rest) < size {
		return m, false, nil
	}
	f.read += size
	return Message{t, rest[HeaderLen:size]}, true, nil
}

// shrink empties a buffer, and gives up one that a burst has made large.
func shrink(b []byte) []byte {
	if cap(b) > 2*MaxLen {
		return nil
	}
	return b[:0]
}

// lengths returns the least and the greatest length of a message of a type (RFC 4271, section 6.1; RFC 2918).
func lengths(t Type) (least, most int) {
	switch t {
	case TypeOpen:
		return HeaderLen + 10, MaxLen
	case TypeUpdate:
		return HeaderLen + 4, MaxLen
	case TypeNotification:
		return HeaderLen + 2, MaxLen
	case TypeRouteRefresh:
		return HeaderLen + 4, HeaderLen + 4
	default:
		return HeaderLen, HeaderLen
	}
}
