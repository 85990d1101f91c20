package inspect

import (
	"fmt"
	"io"
	"strings"
)

// Verdict is the result of a check.
type Verdict string

// The verdicts, from the best to the worst.
const (
	// OK means that nothing is wrong.
	OK Verdict = "ok"
	// Remark means that the finding may be intended.
	Remark Verdict = "remark"
	// Unchecked means that the data for the check could not be gathered.
	Unchecked Verdict = "unchecked"
	// Wrong means a problem that needs a fix.
	Wrong Verdict = "problem"
)

// Diagnosis is the result of Examine.
type Diagnosis struct {
	Namespace string `json:"namespace"`
	// Verdict is the worst verdict of all checks.
	Verdict Verdict `json:"verdict"`
	Checks  []Check `json:"checks"`
}

// Check is the result of one check.
type Check struct {
	// Name is one word that stays the same in every version.
	Name string `json:"name"`
	// Verdict is the worst verdict of the findings, OK without findings.
	Verdict Verdict `json:"verdict"`
	// Summary describes the checked state in a sentence; empty unless the verdict is OK.
	Summary  string    `json:"summary,omitempty"`
	Findings []Finding `json:"findings,omitempty"`
}

// Finding describes a problem, a remark or missing data.
type Finding struct {
	Verdict Verdict `json:"verdict"`
	Message string  `json:"message"`
	// Mend explains the fix; empty if no fix is needed.
	Mend string `json:"mend,omitempty"`
	// Link is the address of the page that explains the finding.
	Link string `json:"link,omitempty"`
}

// findings collects the findings of one check.
type findings []Finding

func (f *findings) wrong(mend, format string, args ...any) {
	*f = append(*f, Finding{Verdict: Wrong, Message: fmt.Sprintf(format, args...), Mend: mend})
}

func (f *findings) remark(mend, format string, args ...any) {
	*f = append(*f, Finding{Verdict: Remark, Message: fmt.Sprintf(format, args...), Mend: mend})
}

// unchecked adds a finding about data that could not be gathered.
func (f *findings) unchecked(format string, args ...any) {
	*f = append(*f, Finding{Verdict: Unchecked, Message: fmt.Sprintf(format, args...)})
}

// check looks at one part of T, which holds a cluster. look returns a sentence for the case without findings, and adds the
// findings. needs names the required data: with a gap in this data, a check without findings is unchecked.
type check[T any] struct {
	name  string
	look  func(T, *findings) (well string)
	needs []Subject
}

// checks returns all checks. A problem of an earlier check may explain the problems of later checks.
func checks() []check[*Cluster] {
	return []check[*Cluster]{
		{"installation", checkInstallation, nil},
		{"controller", checkController, []Subject{OfLease}},
		{"speakers", checkSpeakers, []Subject{OfNodes}},
		{"ports", checkPorts, nil},
		{"rollout", checkRollout, []Subject{OfDaemonSet, OfProcesses}},
		{"privileges", checkPrivileges, nil},
		{"versions", checkVersions, []Subject{OfProcesses}},
		{"configuration", checkConfiguration, []Subject{OfConfig, OfProcesses}},
		{"gossip-keys", checkKeys, []Subject{OfProcesses}},
		{"gossip", checkGossip, []Subject{OfProcesses}},
		{"interfaces", checkInterfaces, []Subject{OfProcesses}},
		{"nodes", checkNodes, []Subject{OfNodes}},
		{"pools", checkPools, []Subject{OfConfig, OfServices}},
		{"services", checkServices, []Subject{OfServices, OfOthers}},
		{"owners", checkOwners, []Subject{OfServices, OfProcesses}},
		{"paths", checkPaths, []Subject{OfServices, OfProcesses}},
		{"bgp", checkBGP, []Subject{OfConfig, OfServices, OfProcesses}},
		{"subnets", checkSubnets, []Subject{OfConfig}},
		{"strangers", checkStrangers, []Subject{OfProcesses}},
		{"node-addresses", checkNodeAddresses, []Subject{OfServices, OfNodes}},
		{"kube-proxy", checkKubeProxy, []Subject{OfKubeProxy}},
		{"metallb", checkMetalLB, []Subject{OfMetalLB}},
		{"rivals", checkRivals, []Subject{OfServices, OfRivals}},
	}
}

// Examine runs all checks.
func Examine(c *Cluster) Diagnosis { return diagnose(c, c, checks()) }

// diagnose runs the checks on what, which holds the cluster c.
func diagnose[T any](c *Cluster, what T, checks []check[T]) Diagnosis {
	d := Diagnosis{Namespace: c.Namespace, Verdict: OK}
	for _, each := range checks {
		var found findings
		well := each.look(what, &found)
		if gaps := c.gaps(each.needs...); len(found) == 0 && len(gaps) > 0 {
			found.unchecked("%s could not be looked at", gaps[0].What)
		}
		d.enter(each.name, found, well)
	}
	d.enterGaps(c)
	return d
}

// enter adds a check with its findings. well describes the state without findings.
func (d *Diagnosis) enter(name string, found findings, well string) {
	check := Check{Name: name, Verdict: OK}
	for i := range found {
		found[i].Link = or(found[i].Link, checkLink(check.Name))
		check.Verdict = worse(check.Verdict, found[i].Verdict)
	}
	if check.Findings = found; len(found) == 0 {
		check.Summary = well
	}
	d.Checks = append(d.Checks, check)
	d.Verdict = worse(d.Verdict, check.Verdict)
}

// enterGaps adds the check of the rights.
func (d *Diagnosis) enterGaps(c *Cluster) {
	var found findings
	for _, g := range c.Gaps {
		found = append(found, Finding{Verdict: Unchecked, Message: g.String(), Mend: g.mend()})
	}
	d.enter("rights", found, "all could be looked at")
}

func worse(a, b Verdict) Verdict {
	rank := map[Verdict]int{OK: 0, Remark: 1, Unchecked: 2, Wrong: 3}
	if rank[b] > rank[a] {
		return b
	}
	return a
}

// String describes the gap and the cause.
func (g Gap) String() string {
	if g.Right == "" {
		return fmt.Sprintf("%s could not be looked at: %s", g.What, sentence(g.Reason))
	}
	return fmt.Sprintf("%s could not be looked at: the right to %s is missing", g.What, g.Right)
}

func (g Gap) mend() string {
	if g.Right == "" {
		return ""
	}
	return "ask for that right; the roles called lanlord-viewer have all but that to read the gossip keys"
}

// WriteText writes the diagnosis for people.
func (d Diagnosis) WriteText(out io.Writer) error {
	var b strings.Builder
	shown := "" // several findings of a check have the same page
	for _, check := range d.Checks {
		if len(check.Findings) == 0 {
			fmt.Fprintf(&b, "%-10s %-14s %s\n", OK, check.Name, check.Summary)
		}
		for _, f := range check.Findings {
			fmt.Fprintf(&b, "%-10s %-14s %s\n", strings.ToUpper(string(f.Verdict)), check.Name, f.Message)
			if f.Mend != "" {
				fmt.Fprintf(&b, "%-10s %-14s -> %s\n", "", "", f.Mend)
			}
			if f.Link != "" && f.Link != shown {
				fmt.Fprintf(&b, "%-10s %-14s see %s\n", "", "", f.Link)
				shown = f.Link
			}
		}
	}
	b.WriteString("\n" + d.conclusion() + "\n")
	_, err := io.WriteString(out, b.String())
	return err
}

func (d Diagnosis) conclusion() string {
	counts := map[Verdict]int{}
	for _, check := range d.Checks {
		for _, f := range check.Findings {
			counts[f.Verdict]++
		}
	}
	switch {
	case counts[Wrong] > 0:
		text := Count(counts[Wrong], "problem")
		if counts[Unchecked] > 0 {
			text += ", and not all could be looked at"
		}
		return text
	case counts[Unchecked] > 0:
		return "nothing is known to be wrong, but not all could be looked at"
	}
	return "nothing is wrong"
}
