package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"
)

// report is the output of a command: text for people, or the exported fields as JSON or YAML.
type report interface {
	WriteText(io.Writer) error
}

// wide is a report with further columns for -o wide.
type wide interface {
	WriteWide(io.Writer) error
}

// outputFlag adds -o to a command.
func outputFlag(c *cobra.Command) *string {
	return c.Flags().StringP("output", "o", "", "Output format: wide, json or yaml; by default a table")
}

// checkOutput returns an error for an unknown format.
func checkOutput(format string) error {
	if !slices.Contains([]string{"", "wide", "json", "yaml"}, format) {
		return fmt.Errorf("unknown output format %q: must be wide, json or yaml", format)
	}
	return nil
}

// print writes a report in a format that checkOutput accepts.
func (p *plugin) print(r report, format string) error {
	switch format {
	case "json":
		encoder := json.NewEncoder(p.stdout)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "    ")
		return encoder.Encode(r)
	case "yaml":
		text, err := yaml.Marshal(r)
		if err != nil {
			return err
		}
		_, err = p.stdout.Write(text)
		return err
	case "wide":
		if w, ok := r.(wide); ok {
			return w.WriteWide(p.stdout)
		}
	}
	return r.WriteText(p.stdout)
}
