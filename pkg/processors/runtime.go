package processors

import (
	"os"
	"runtime"
)

// Runtime sets the number of processors of Go's runtime.
type Runtime struct{}

var _ Setter = Runtime{}

// One implements Setter.
func (Runtime) One() { runtime.GOMAXPROCS(1) }

// All implements Setter. The runtime again follows the CPUs of this process and the limit of its control group, also
// when they change.
func (Runtime) All() { runtime.SetDefaultGOMAXPROCS() }

// Fixed changes nothing.
type Fixed struct{}

var _ Setter = Fixed{}

// One implements Setter.
func (Fixed) One() {}

// All implements Setter.
func (Fixed) All() {}

// ForProcess returns the Setter for this process: Fixed if the environment variable GOMAXPROCS is set, because then the
// number is the user's choice, and otherwise Runtime.
func ForProcess() Setter {
	if os.Getenv("GOMAXPROCS") != "" {
		return Fixed{}
	}
	return Runtime{}
}
