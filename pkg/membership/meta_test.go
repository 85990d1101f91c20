package membership

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"testing"

	"github.com/hashicorp/memberlist"
)

// TestMetaGolden pins the encoding, a contract between versions.
func TestMetaGolden(t *testing.T) {
	for _, test := range []struct {
		state State
		macs  []MAC
		want  string
	}{
		{Joining, nil, "0101"},
		{Ready, []MAC{{2, 0, 0, 0, 0, 1}}, "0102020000000001"},
		{Leaving, []MAC{{2, 0, 0, 0, 0, 9}, {2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 9}}, "0103020000000001020000000009"},
	} {
		meta, err := encodeMeta(test.state, test.macs)
		if got := hex.EncodeToString(meta); err != nil || got != test.want {
			t.Errorf("%s %v is %s, %v; want %s", test.state, test.macs, got, err, test.want)
		}
		state, macs, err := parseMeta(meta)
		want := slices.Compact(slices.SortedFunc(slices.Values(test.macs), compareMACs))
		if state != test.state || !slices.Equal(macs, want) || err != nil {
			t.Errorf("%s %v is read as %s %v, %v", test.state, test.macs, state, macs, err)
		}
	}
}

func TestMetaFits(t *testing.T) {
	macs := make([]MAC, MaxMACs)
	for i := range macs {
		macs[i] = MAC{2, byte(i)}
	}
	meta, err := encodeMeta(Ready, macs)
	if err != nil || len(meta) > memberlist.MetaMaxSize {
		t.Errorf("%d MAC addresses take %d bytes, %v; memberlist carries %d", MaxMACs, len(meta), err, memberlist.MetaMaxSize)
	}
	if _, err := encodeMeta(Ready, append(macs, MAC{4})); err == nil ||
		err.Error() != "86 MAC addresses are more than the 85 that can be announced" {
		t.Errorf("one more: %v", err)
	}
}

func TestEncodeMetaRefuses(t *testing.T) {
	for _, test := range []struct {
		state State
		mac   MAC
		want  string
	}{
		{Unknown, MAC{2}, "unknown cannot be announced"},
		{State(9), MAC{2}, "state 9 cannot be announced"},
		{Ready, MAC{}, "MAC address is all zero"},
		{Ready, MAC{1, 0, 0x5e, 0, 0, 1}, "MAC address 01:00:5e:00:00:01 is a group's"},
	} {
		if _, err := encodeMeta(test.state, []MAC{test.mac}); err == nil || err.Error() != test.want {
			t.Errorf("%s %s: %v, want %s", test.state, test.mac, err, test.want)
		}
	}
}

func TestParseMetaRefuses(t *testing.T) {
	for _, test := range []struct{ name, hex, want string }{
		{"empty", "", "no metadata"},
		{"version 0", "0002", "metadata of unknown version 0"},
		{"a later version", "02ffffff", "metadata of unknown version 2"},
		{"no state", "01", "metadata of 1 bytes"},
		{"half an address", "0102020000", "metadata of 5 bytes"},
		{"too long", "0102" + hex.EncodeToString(make([]byte, 516)), "metadata of 518 bytes"},
		{"state unknown", "0100", "metadata with unknown"},
		{"a later state", "0104", "metadata with state 4"},
		{"zero address", "0102000000000000", "metadata: MAC address is all zero"},
		{"group address", "0102ffffffffffff", "metadata: MAC address ff:ff:ff:ff:ff:ff is a group's"},
		{"one address twice", "0102020000000001020000000001", "metadata with MAC addresses out of order"},
		{"out of order", "0102020000000002020000000001", "metadata with MAC addresses out of order"},
	} {
		t.Run(test.name, func(t *testing.T) {
			meta, err := hex.DecodeString(test.hex)
			if err != nil {
				t.Fatal(err)
			}
			state, macs, err := parseMeta(meta)
			if state != Unknown || macs != nil || err == nil || err.Error() != test.want {
				t.Errorf("%s %v, %v; want %s", state, macs, err, test.want)
			}
			if isVersion := len(meta) > 0 && meta[0] != metaVersion; errors.Is(err, errMetaVersion) != isVersion {
				t.Errorf("%v is errMetaVersion: %v", err, !isVersion)
			}
		})
	}
}

func FuzzParseMeta(f *testing.F) {
	f.Add([]byte{})                             // nothing
	f.Add([]byte{1, 1})                         // joining
	f.Add([]byte{1, 2, 2, 0, 0, 0, 0, 1})       // ready, one address
	f.Add([]byte{2, 2})                         // a later version
	f.Add([]byte{1, 2, 2, 0, 0})                // cut off
	f.Add(bytes.Repeat([]byte{1}, metaLimit+1)) // too long
	f.Fuzz(func(t *testing.T, meta []byte) {
		state, macs, err := parseMeta(meta)
		if err != nil {
			if state != Unknown || macs != nil {
				t.Fatalf("refused, and read as %s %v", state, macs)
			}
			return
		}
		again, err := encodeMeta(state, macs)
		if err != nil || !bytes.Equal(again, meta) {
			t.Fatalf("%x is read as %s %v, which is written as %x, %v", meta, state, macs, again, err)
		}
	})
}

// TestStates has a name for every state.
func TestStates(t *testing.T) {
	want := []string{"unknown", "joining", "ready", "leaving"}
	for i, state := range states {
		if int(state) != i || state.String() != want[i] {
			t.Errorf("state %d is %q, want %q", i, state, want[i])
		}
	}
	wantEvents := []string{"joined", "updated", "left", "conflict"}
	for i, e := range events {
		if int(e) != i || e.String() != wantEvents[i] {
			t.Errorf("event %d is %q, want %q", i, e, wantEvents[i])
		}
	}
}

// TestKeyGolden pins the derived key: a version that derives another cannot talk to this one.
func TestKeyGolden(t *testing.T) {
	key, err := deriveKey([]byte("a secret of 24 bytes ..."))
	if got := hex.EncodeToString(key); err != nil || got != "3052db6e9d57c9057df301edca462375cc0404e3447b2a1f394eddfe7d102533" {
		t.Errorf("derived key %s, %v", got, err)
	}
}
