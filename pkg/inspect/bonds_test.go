package inspect

import (
	"fmt"
	"testing"

	"github.com/lanlord/lanlord/pkg/status"
)

// TestBondsOfTheDoctor examines bonds in modes with and without a fault, on interfaces in use and on others.
func TestBondsOfTheDoctor(t *testing.T) {
	for _, c := range []struct {
		link status.Interface
		want []Verdict
	}{
		{status.Interface{Name: "eth0", Used: true}, nil},
		{status.Interface{Name: "bond0", Used: true, BondMode: "active-backup"}, nil},
		{status.Interface{Name: "bond0", Used: true, BondMode: "balance-alb"}, []Verdict{Wrong}},
		{status.Interface{Name: "bond0", BondMode: "balance-alb"}, nil},
		{status.Interface{Name: "bond0.7", Used: true, BondMode: "balance-rr"}, []Verdict{Remark}},
	} {
		var found findings
		checkBonds("n1", []status.Interface{c.link}, &found)
		var got []Verdict
		for _, f := range found {
			if got = append(got, f.Verdict); f.Message == "" || f.Mend == "" {
				t.Errorf("%+v: an empty message or fix: %+v", c.link, f)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%+v: %v, want %v", c.link, found, c.want)
		}
	}
}
