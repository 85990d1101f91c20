package checksum

import "testing"

// TestSum adds the example of RFC 1071, section 3, whole and in two parts, and an odd byte.
func TestSum(t *testing.T) {
	b := []byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}
	if got := Fold(Sum(0, b)); got != 0xddf2 {
		t.Errorf("the sum is %#x, want 0xddf2", got)
	}
	if got := Fold(Sum(Sum(0, b[:4]), b[4:])); got != 0xddf2 {
		t.Errorf("the sum of two parts is %#x, want 0xddf2", got)
	}
	if got, want := Sum(0, b[:3]), Sum(0, []byte{0x00, 0x01, 0xf2, 0x00}); got != want {
		t.Errorf("an odd byte adds up to %#x, want %#x", got, want)
	}
}
