package soak

import "testing"

// UnderTest soaks somewhere, writes the report into the test's output, and fails the test for each violation. The report is nil if there is none.
func UnderTest(t testing.TB, o Options, site Site) *Report {
	t.Helper()
	report, err := Run(t.Context(), o, site)
	if report != nil {
		if err := report.Write(t.Output(), "under test"); err != nil {
			t.Error(err)
		}
		for _, v := range report.Violations {
			t.Error(v)
		}
	}
	if err != nil {
		t.Error(err)
	}
	return report
}
