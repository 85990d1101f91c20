package reason

import "testing"

// TestFaultOfBond checks which modes of bonds have a fault.
func TestFaultOfBond(t *testing.T) {
	for mode, want := range map[string]struct{ fault, certain bool }{
		"": {}, "unknown": {}, "active-backup": {}, "802.3ad": {}, "balance-tlb": {},
		"balance-alb": {fault: true, certain: true},
		"balance-rr":  {fault: true}, "balance-xor": {fault: true}, "broadcast": {fault: true},
	} {
		f, is := FaultOfBond(mode)
		if is != want.fault || f.Certain != want.certain || is != (f.Text != "" && f.Mend != "") {
			t.Errorf("mode %q: %+v, %t", mode, f, is)
		}
	}
}
