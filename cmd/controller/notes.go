package main

import (
	"fmt"
	"io"

	"github.com/lanlord/lanlord/pkg/config"
)

// printOwnClass warns of an entry of announce-classes that has no effect, because Lanlord itself serves the class.
func printOwnClass(cfg *config.Config, own string, out io.Writer) error {
	if !cfg.Announces(own) {
		return nil
	}
	what := fmt.Sprintf("of the class %q", own)
	if own == "" {
		what = "without a class"
	}
	_, err := fmt.Fprintf(out, "\nwarning: announce-classes: Lanlord itself gives addresses to Services %s, and announce-classes "+
		"changes nothing for them. If another controller gives these addresses, run Lanlord with a --load-balancer-class of "+
		"its own; give the same flag to this check.\n", what)
	return err
}
