package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/lanlord/lanlord/pkg/inspect"
)

// report is the output of a command: text for people, or the exported fields as JSON or YAML.
type report interface {
	WriteText(io.Writer) error
}

// outputFormat is the version of the JSON and YAML output. A new version renames or removes a field, or changes the
// meaning of a field.
const outputFormat = 1

// labelled returns a report as JSON, with the kind of the report and the version of the format in front.
func labelled(r any) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(r); err != nil {
		return nil, err
	}
	_, kind, _ := strings.Cut(fmt.Sprintf("%T", r), ".")
	label := fmt.Sprintf(`{"kind":%q,"format":%d`, kind, outputFormat)
	fields := bytes.TrimPrefix(bytes.TrimSpace(text.Bytes()), []byte("{"))
	if !bytes.HasPrefix(fields, []byte("}")) {
		label += ","
	}
	return append([]byte(label), fields...), nil
}

// marshal returns a report as JSON in one line or, for the format yaml, as YAML; see labelled.
func marshal(r any, format string) ([]byte, error) {
	text, err := labelled(r)
	if err != nil || format != "yaml" {
		return text, err
	}
	return yaml.JSONToYAML(text)
}

// noteGaps writes to standard error what of the cluster could not be looked at.
func (p *plugin) noteGaps(c *inspect.Cluster) {
	for _, g := range c.Gaps {
		fmt.Fprintln(p.stderr, "Note: "+g.String())
	}
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
		text, err := marshal(r, format)
		if err != nil {
			return err
		}
		var indented bytes.Buffer
		if err := json.Indent(&indented, text, "", "    "); err != nil {
			return err
		}
		_, err = p.stdout.Write(append(indented.Bytes(), '\n'))
		return err
	case "yaml":
		text, err := marshal(r, format)
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
