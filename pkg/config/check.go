package config

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
)

// Check writes a report on the configuration in data to out: every pool with its addresses and their number, the other
// settings, and the warnings. data is the document itself or a manifest of the ConfigMap that holds the document, in
// YAML or JSON. Line numbers in the report and in the error refer to data, unless the report or the error says
// otherwise. The error is, or wraps, a *Problems when the configuration is not valid.
func Check(data []byte, out io.Writer) error {
	source, config, err := parseFile(data)
	if err != nil {
		return err
	}
	var report bytes.Buffer
	source.report(&report, config)
	if _, err := out.Write(report.Bytes()); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// Read returns the configuration in data. data has the same form as for Check.
func Read(data []byte) (*Config, error) {
	_, config, err := parseFile(data)
	return config, err
}

// Object returns the namespace and the name of the ConfigMap in data. data has the same form as for Check. Both are
// empty for the bare document, and the namespace is empty for a manifest without a namespace.
func Object(data []byte) (namespace, name string) {
	source, _ := findDocument(data)
	return source.namespace, source.name
}

func parseFile(data []byte) (source, *Config, error) {
	source, problem := findDocument(data)
	if problem != nil {
		return source, nil, &Problems{List: []Problem{*problem}}
	}
	config, problems := parse(source.text)
	if problems != nil {
		return source, nil, source.located(problems)
	}
	return source, config, nil
}

// located returns the problems with line numbers of the file, or of the document if the lines of the document are not
// lines of the file.
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
	c.reportPeers(out)
	fmt.Fprintln(out)
	c.reportClasses(out)
	fmt.Fprintf(out, "a released address rests %s\n", seconds(c.Allocation.ReleaseDelay))
	switch {
	case c.Allocation.WithdrawDelay > 0:
		fmt.Fprintf(out, "an address that a change of the configuration takes from a Service stays with the Service for %s\n",
			seconds(c.Allocation.WithdrawDelay))
	case c.Allocation.WithdrawDelayGiven:
		fmt.Fprintln(out, "an address that a change of the configuration takes from a Service is withdrawn at once")
	}
	if c.Allocation.AvoidNetworkAddresses {
		fmt.Fprintln(out, "network and broadcast addresses of the nodes' subnets are not given")
	} else {
		fmt.Fprintln(out, "network and broadcast addresses of the nodes' subnets are given like others")
	}
	if c.Allocation.AllowNodeAddresses {
		fmt.Fprintln(out, "addresses of Nodes are given like others; Lanlord does not announce them, and only their node serves them")
	}
	if c.Layer2.Refresh == 0 {
		fmt.Fprintln(out, "an address is not announced again while its owner keeps it")
	} else {
		fmt.Fprintf(out, "an address is announced again every %s\n", seconds(c.Layer2.Refresh))
	}
	fmt.Fprintf(out, "at most %d announcements a second are sent on an interface\n", c.Layer2.Rate)
	if c.Layer2.Ping {
		fmt.Fprintln(out, "an announced address answers ping")
	} else {
		fmt.Fprintln(out, "an announced address does not answer ping")
	}
	switch c.Layer2.Failback {
	case FailbackNever:
		fmt.Fprintln(out, "an address stays at the node that has it, as long as that node may have it")
	case 0:
		fmt.Fprintln(out, "a node takes an address back from another one at once")
	default:
		fmt.Fprintf(out, "a node takes an address back from another one after %s\n", seconds(c.Layer2.Failback))
	}
	if c.Layer2.MoveOnCordon {
		fmt.Fprintln(out, "addresses leave a cordoned node")
	} else {
		fmt.Fprintln(out, "addresses stay at a cordoned node")
	}
	if c.Layer2.PathProbe > 0 {
		fmt.Fprintf(out, "two nodes probe the path to each address in %s, or in a longer time if there are many addresses\n",
			seconds(c.Layer2.PathProbe))
	}
	if len(c.Peers) > 0 {
		fmt.Fprintf(out, "routes carry GRACEFUL_SHUTDOWN for %s before a node that stops withdraws them\n", seconds(c.BGP.Drain))
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
	row := rows{out}.row
	fmt.Fprintf(out, "pool %q\n", p.Name)
	row("protocols", strings.Join(p.Protocols(), ", "))
	if p.Priority > 0 {
		row("priority", fmt.Sprint(p.Priority))
	} else {
		row("priority", "none")
	}
	row("auto-assign", fmt.Sprint(p.AutoAssign))
	if p.Disabled {
		row("disabled", "true: who has its addresses keeps them, and no more are given")
	}
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
	row("namespace-selectors", selectorTexts(p.NamespaceSelectors, "namespace")...)
	row("service-selectors", selectorTexts(p.ServiceSelectors, "Service")...)
	var reserved []string
	for _, r := range p.Reserve {
		reserved = append(reserved, r.String())
	}
	row("reserve", reserved...)
	row("quota", p.quotaTexts()...)
	if p.SeparateNamespaces {
		row("share-across-namespaces", "false: Services of different namespaces do not share an address")
	}
	row("node-selectors", selectorTexts(p.NodeSelectors, "node")...)
	row("preferred-nodes", p.preferenceTexts()...)
	if len(p.Interfaces) > 0 {
		row("interfaces", strings.Join(p.Interfaces, ", "))
	}
	row("excluded-nodes", p.useTexts()...)
	if p.FromEndpoints {
		row("announce-from", "endpoints: nodes with a ready endpoint of the Service first")
	}
}

// Protocols returns the protocols of the pool in the words of the ConfigMap.
func (p *Pool) Protocols() []string {
	words := []string{}
	if p.Layer2 {
		words = append(words, "layer2")
	}
	if p.BGP {
		words = append(words, "bgp")
	}
	return words
}

func selectorTexts(selectors []labels.Selector, what string) []string {
	var texts []string
	for _, selector := range selectors {
		if selector.Empty() {
			texts = append(texts, "(every "+what+")")
		} else {
			texts = append(texts, selector.String())
		}
	}
	return texts
}

func (p Pool) quotaTexts() []string {
	var texts []string
	for _, namespace := range slices.Sorted(maps.Keys(p.Quotas)) {
		who := "namespace " + namespace
		if namespace == "" {
			who = "each namespace"
			if len(p.Quotas) > 1 {
				who = "each other namespace"
			}
		}
		texts = append(texts, fmt.Sprintf("%d for %s", p.Quotas[namespace], who))
	}
	return texts
}
