package speaker

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/notify"
)

// TestBondsAreTold has one node get a bond in mode balance-alb: one Event about the Node names the mode, another one
// follows only after the mode was another for a time, and the address is announced all the same.
func TestBondsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newTestCluster(t, "", []string{"a", "b"}, addr4)
		time.Sleep(10 * time.Second)
		for round := 1; round <= 2; round++ {
			for _, mode := range []string{"active-backup", "balance-alb"} {
				v.speakers["a"].nic.SetBondMode(mode)
				time.Sleep(time.Minute)
			}
			synctest.Wait()
			told := v.about("Node", "a", notify.BondReason)
			if len(told) != round || !strings.Contains(told[0], "mode balance-alb") {
				t.Errorf("round %d: the Events are %q", round, told)
			}
		}
		if told := v.about("Node", "b", notify.BondReason); len(told) > 0 {
			t.Errorf("Events about the other node: %q", told)
		}
		v.only(addr4)
	})
}
