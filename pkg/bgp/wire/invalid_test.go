package wire

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

// message returns a message with a header of the right length.
func message(t Type, body ...byte) []byte {
	b := append(appendHeader(nil, t), body...)
	return finish(b, 0)
}

// read takes a message through the framer and the parser of its type.
func read(b []byte) error {
	var f Framer
	f.Write(b)
	m, ok, err := f.Next()
	if err != nil || !ok {
		return err
	}
	switch m.Type {
	case TypeOpen:
		_, err = ParseOpen(m.Body)
	case TypeUpdate:
		err = CheckUpdate(m.Body)
	}
	return err
}

// open returns an OPEN of AS 65001 with optional parameters.
func open(parameters ...byte) []byte {
	return message(TypeOpen, append([]byte{4, 0xfd, 0xe9, 0, 90, 10, 0, 0, 1, byte(len(parameters))}, parameters...)...)
}

// attributes returns an UPDATE with path attributes only.
func attributes(list ...byte) []byte {
	return message(TypeUpdate, append([]byte{0, 0, 0, byte(len(list))}, list...)...)
}

// TestInvalidMessages has each malformed message answered by the NOTIFICATION that an RFC names.
func TestInvalidMessages(t *testing.T) {
	damaged := func(b []byte, i int, to byte) []byte {
		b = slices.Clone(b)
		b[i] = to
		return b
	}
	keepalive := AppendKeepalive(nil)
	for _, test := range []struct {
		name          string
		message       []byte
		code, subcode uint8
		data          []byte
	}{
		{"RFC 4271, 6.1: marker", damaged(keepalive, 3, 0), 1, 1, nil},
		{"RFC 4271, 6.1: marker in the first bytes", []byte{0xff, 'S'}, 1, 1, nil},
		{"RFC 4271, 6.1: length below the header", damaged(keepalive, 17, 18), 1, 2, []byte{0, 18}},
		{"RFC 4271, 6.1: length above 4096", damaged(damaged(keepalive, 16, 16), 17, 1), 1, 2, []byte{16, 1}},
		{"RFC 4271, 6.1: KEEPALIVE with a body", message(TypeKeepalive, 1), 1, 2, []byte{0, 20}},
		{"RFC 4271, 6.1: short OPEN", message(TypeOpen, 4, 0), 1, 2, []byte{0, 21}},
		{"RFC 4271, 6.1: short UPDATE", message(TypeUpdate, 0, 0, 0), 1, 2, []byte{0, 22}},
		{"RFC 4271, 6.1: short NOTIFICATION", message(TypeNotification, 6), 1, 2, []byte{0, 20}},
		{"RFC 2918: short ROUTE-REFRESH", message(TypeRouteRefresh, 0, 1, 0), 1, 2, []byte{0, 22}},
		{"RFC 2918: long ROUTE-REFRESH", message(TypeRouteRefresh, 0, 1, 0, 1, 9), 1, 2, []byte{0, 24}},
		{"RFC 4271, 6.1: type", message(9), 1, 3, []byte{9}},
		{"RFC 4271, 6.1: type 0", message(0), 1, 3, []byte{0}},

		{"RFC 4271, 6.2: version", damaged(open(), 19, 3), 2, 1, []byte{0, 4}},
		{"RFC 7607: AS 0", damaged(damaged(open(), 20, 0), 21, 0), 2, 2, nil},
		{"RFC 7607: AS 0 in four bytes", open(2, 6, 65, 4, 0, 0, 0, 0), 2, 2, nil},
		{"RFC 6793, 9: AS_TRANS", damaged(damaged(open(), 20, 0x5b), 21, 0xa0), 2, 2, nil},
		{"RFC 4271, 6.2: hold time 1", damaged(open(), 23, 1), 2, 6, nil},
		{"RFC 4271, 6.2: hold time 2", damaged(open(), 23, 2), 2, 6, nil},
		{"RFC 6286: identifier 0", damaged(open(), 24, 0)[:28], 0, 0, nil},
		{"RFC 6286: identifier 0.0.0.0", message(TypeOpen, 4, 0xfd, 0xe9, 0, 90, 0, 0, 0, 0, 0), 2, 3, nil},
		{"RFC 4271, 6.2: unknown parameter", open(1, 1, 0), 2, 4, nil},
		{"RFC 4271, 6.2: parameter too long", open(2, 9, 1), 2, 0, nil},
		{"RFC 4271, 6.2: half a parameter", open(2), 2, 0, nil},
		{"RFC 4271, 6.2: bytes behind the parameters", message(TypeOpen, append(open()[19:], 7)...), 2, 0, nil},
		{"RFC 5492: capability too long", open(2, 2, 1, 9), 2, 0, nil},
		{"RFC 5492: half a capability", open(2, 1, 1), 2, 0, nil},
		{"RFC 6793: four-byte AS of two bytes", open(2, 4, 65, 2, 1, 9), 2, 0, nil},
		{"RFC 4760: family of three bytes", open(2, 5, 1, 3, 0, 1, 0), 2, 0, nil},
		{"RFC 4724: half a family", open(2, 8, 64, 6, 0, 15, 0, 1, 1, 0), 0, 0, nil},
		{"RFC 4724: a family of three bytes", open(2, 7, 64, 5, 0, 15, 0, 1, 1), 2, 0, nil},
		{"RFC 8950: a tuple of five bytes", open(2, 7, 5, 5, 0, 1, 0, 1, 0), 2, 0, nil},
		{"RFC 9072: bytes missing", message(TypeOpen, 4, 0xfd, 0xe9, 0, 90, 10, 0, 0, 1, 255, 255, 0, 9), 2, 0, nil},

		{"RFC 4271, 6.3: withdrawn routes too long", message(TypeUpdate, 0, 9, 0, 0), 3, 1, nil},
		{"RFC 4271, 6.3: attributes too long", message(TypeUpdate, 0, 0, 0, 9), 3, 1, nil},
		{"RFC 7606, 5.3: withdrawn prefix of 33 bits", message(TypeUpdate, 0, 6, 33, 1, 2, 3, 4, 5, 0, 0), 3, 10, nil},
		{"RFC 4271, 6.3: prefix of 33 bits", message(TypeUpdate, 0, 0, 0, 0, 33, 1, 2, 3, 4, 5), 3, 10, nil},
		{"RFC 4271, 6.3: half a prefix", message(TypeUpdate, 0, 0, 0, 0, 24, 1, 2), 3, 10, nil},
		{"RFC 7606, 3 (g): MP_UNREACH_NLRI twice", attributes(0x80, 15, 3, 0, 2, 1, 0x80, 15, 3, 0, 2, 1), 3, 1, nil},
		{"RFC 4760, 7: MP_UNREACH_NLRI of two bytes", attributes(0x80, 15, 2, 0, 2), 3, 9, []byte{0x80, 15, 2, 0, 2}},
		{"RFC 4760, 7: prefix of 129 bits", attributes(0x80, 15, 4, 0, 2, 1, 129), 3, 9, []byte{0x80, 15, 4, 0, 2, 1, 129}},
		{"RFC 7606, 7.11: next hop too long", attributes(0x80, 14, 5, 0, 2, 1, 16, 0), 3, 9,
			[]byte{0x80, 14, 5, 0, 2, 1, 16, 0}},
	} {
		err := read(test.message)
		if test.code == 0 {
			if err != nil {
				t.Errorf("%s: %v", test.name, err)
			}
			continue
		}
		invalid, ok := errors.AsType[*Error](err)
		if !ok {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		n := invalid.Notification
		if n.Code != test.code || n.Subcode != test.subcode || !bytes.Equal(n.Data, test.data) {
			t.Errorf("%s: %d/%d % x, not %d/%d % x", test.name, n.Code, n.Subcode, n.Data, test.code, test.subcode, test.data)
		}
		if invalid.Detail == "" || invalid.Error() == "" {
			t.Errorf("%s: no words", test.name)
		}
	}
}

// TestTolerated holds what does not end a session: RFC 7606 has a router withdraw routes or discard attributes, and a
// speaker without routes has nothing to do.
func TestTolerated(t *testing.T) {
	for name, b := range map[string][]byte{
		"RFC 7606, 4: attribute too long":           message(TypeUpdate, 0, 0, 0, 4, 0x40, 1, 9, 0),
		"RFC 7606, 4: two bytes left":               message(TypeUpdate, 0, 0, 0, 2, 0x40, 1),
		"RFC 7606, 4: extended length cut":          message(TypeUpdate, 0, 0, 0, 3, 0x50, 1, 0),
		"RFC 7606, 7.1: ORIGIN 9":                   message(TypeUpdate, 0, 0, 0, 4, 0x40, 1, 1, 9),
		"RFC 7606, 3 (g): ORIGIN twice":             message(TypeUpdate, 0, 0, 0, 8, 0x40, 1, 1, 0, 0x40, 1, 1, 0),
		"RFC 7606, 3 (d): no mandatory attribute":   message(TypeUpdate, 0, 0, 0, 0, 8, 10),
		"RFC 4760, 7: another family":               message(TypeUpdate, 0, 0, 0, 8, 0x80, 15, 5, 0, 25, 70, 255, 255),
		"RFC 4760: MP_REACH_NLRI":                   attributes(0x80, 14, 10, 0, 2, 1, 1, 9, 0, 16, 0x20, 1, 0),
		"RFC 5492: unknown capability":              open(2, 3, 200, 1, 9),
		"RFC 5492: several in one parameter":        open(2, 10, 2, 0, 1, 4, 0, 1, 0, 1, 128, 0),
		"malformed capability that does not matter": open(2, 4, 73, 2, 255, 255),
		"RFC 9072: extended length": message(TypeOpen, 4, 0xfd, 0xe9, 0, 90, 10, 0, 0, 1,
			255, 255, 0, 9, 2, 0, 6, 65, 4, 0, 1, 0, 0),
		"hold time 0": message(TypeOpen, 4, 0xfd, 0xe9, 0, 0, 10, 0, 0, 1, 0),
		"End-of-RIB":  message(TypeUpdate, 0, 0, 0, 0),
	} {
		if err := read(b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
