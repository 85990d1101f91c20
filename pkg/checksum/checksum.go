package checksum

// Sum adds the words of b to s; an odd byte at the end counts as a word with a zero second byte (RFC 1071, section 1). The
// result of a message of at most 64 KiB fits.
func Sum(s uint32, b []byte) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		s += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	return s
}

// Fold reduces a sum to 16 bits in one's complement.
func Fold(s uint32) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}
