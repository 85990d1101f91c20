package wire

import (
	"testing"

	"github.com/lanlord/lanlord/e2e/fault"
)

// TestActions compares the catalogue with the actions.
func TestActions(t *testing.T) {
	all := actions()
	for _, r := range fault.Measured.Rules() {
		if all[r.Kind].inject == nil {
			t.Errorf("nothing is done for %s", r.Kind)
		}
		delete(all, r.Kind)
	}
	for k := range all {
		t.Errorf("the catalogue has no %s", k)
	}
}
