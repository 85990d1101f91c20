package main

import (
	"fmt"
	"io"

	"github.com/lanlord/lanlord/pkg/daemon"
	"github.com/lanlord/lanlord/pkg/metallb"
)

// fromCRs prints a ConfigMap that means the same as MetalLB's resources in file. fromCRs prints on stderr the features
// without a counterpart.
func fromCRs(file string, flags daemon.Flags, stdout, stderr io.Writer) error {
	data, err := readFile(file)
	if err != nil {
		return fmt.Errorf("--from-metallb-crs: %w", err)
	}
	result, err := metallb.Convert(data, flags.Namespace, flags.ConfigMap)
	if err != nil {
		return err
	}
	for _, note := range result.Notes {
		fmt.Fprintln(stderr, note)
	}
	if _, err := stdout.Write(result.Manifest); err != nil {
		return fmt.Errorf("write to standard output: %w", err)
	}
	return nil
}
