package config

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"
)

// Check writes to out how the configuration in data is understood: every pool with its addresses and their number, and
// the warnings. Data is the document itself or a manifest of the ConfigMap that holds it, in YAML or JSON. The lines in
// what it writes and in the error are those of data, unless it says otherwise. The error is, or wraps, a *Problems when
// the configuration is not valid.
func Check(data []byte, out io.Writer) error {
	source, problem := findDocument(data)
	if problem != nil {
		return &Problems{List: []Problem{*problem}}
	}
	config, problems := parse(source.text)
	if problems != nil {
		return source.located(problems)
	}
	var report bytes.Buffer
	source.report(&report, config)
	if _, err := out.Write(report.Bytes()); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// located returns the problems with lines that a reader of the file can use.
func (s source) located(problems []Problem) error {
	located := &Problems{List: s.moved(problems)}
	if s.inFile {
		return located
	}
	return fmt.Errorf("%s\n%w", s.lines(), located)
}

func (s source) moved(list []Problem) []Problem {
	out := make([]Problem, len(list))
	for i, p := range list {
		if p.Line > 0 {
			p.Line += s.offset
		}
		out[i] = p
	}
	return out
}

func (s source) lines() string {
	return fmt.Sprintf("in %s, with the lines of the text under data.%s:", s.object, dataKey)
}

func (s source) report(out *bytes.Buffer, c *Config) {
	if s.object != "" {
		fmt.Fprintf(out, "%s\n\n", s.object)
	}
	switch len(c.Pools) {
	case 0:
		fmt.Fprintln(out, "no pools, so no Service gets an address")
	case 1:
		fmt.Fprintln(out, "1 pool")
	default:
		fmt.Fprintf(out, "%d pools, in the order in which addresses are taken from them\n", len(c.Pools))
	}
	for _, pool := range c.Pools {
		fmt.Fprintln(out)
		pool.report(out)
	}
	fmt.Fprintln(out)
	for _, name := range c.SetAside {
		fmt.Fprintf(out, "pool %q is set aside\n", name)
	}
	fmt.Fprintf(out, "a released address rests %s\n", seconds(c.Allocation.ReleaseDelay))
	if c.Layer2.Refresh == 0 {
		fmt.Fprintln(out, "an address is not announced again while its owner keeps it")
	} else {
		fmt.Fprintf(out, "an address is announced again every %s\n", seconds(c.Layer2.Refresh))
	}
	if len(c.Warnings) == 0 {
		return
	}
	fmt.Fprintln(out, "\nwarnings")
	if !s.inFile {
		fmt.Fprintln(out, s.lines())
	}
	fmt.Fprintln(out, joinLines(s.moved(c.Warnings)))
}

func (p Pool) report(out *bytes.Buffer) {
	// A key with several values has its name on the first line only; one without values has no line.
	row := func(name string, values ...string) {
		for _, value := range values {
			fmt.Fprintf(out, "  %-15s %s\n", name, value)
			name = ""
		}
	}
	fmt.Fprintf(out, "pool %q\n", p.Name)
	if p.Priority > 0 {
		row("priority", fmt.Sprint(p.Priority))
	} else {
		row("priority", "none")
	}
	row("auto-assign", fmt.Sprint(p.AutoAssign))
	if p.AvoidBuggyIPs {
		row("avoid-buggy-ips", "true")
	}
	var ranges []string
	for _, r := range p.Ranges {
		ranges = append(ranges, r.String())
	}
	row("addresses", ranges...)
	v4, v6 := p.Size()
	row("size", fmt.Sprintf("%d IPv4, %d IPv6", v4, v6))
	if len(p.Namespaces) > 0 {
		row("namespaces", strings.Join(p.Namespaces, ", "))
	}
	var selectors []string
	for _, selector := range p.NodeSelectors {
		if selector.Empty() {
			selectors = append(selectors, "(every node)")
		} else {
			selectors = append(selectors, selector.String())
		}
	}
	row("node-selectors", selectors...)
	if len(p.Interfaces) > 0 {
		row("interfaces", strings.Join(p.Interfaces, ", "))
	}
}

// seconds writes a duration as a user would.
func seconds(d time.Duration) string { return fmt.Sprintf("%gs", d.Seconds()) }
