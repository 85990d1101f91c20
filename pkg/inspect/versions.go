package inspect

import "io"

// Versions holds the versions of the plugin and of all processes that could be asked.
type Versions struct {
	Plugin    string           `json:"plugin"`
	Processes []ProcessVersion `json:"processes,omitempty"`
	NotKnown  []Gap            `json:"notKnown,omitempty"`
}

// ProcessVersion is the version of one process.
type ProcessVersion struct {
	Kind    string `json:"kind"`
	Pod     string `json:"pod"`
	Node    string `json:"node"`
	Image   string `json:"image"`
	Version string `json:"version,omitempty"`
}

// VersionsOf returns the versions of the plugin and of Lanlord's processes.
func VersionsOf(c *Cluster, plugin string) Versions {
	v := Versions{Plugin: plugin, NotKnown: c.Gaps}
	add := func(kind string, p Pod, version string) {
		v.Processes = append(v.Processes, ProcessVersion{kind, p.Name, p.Node, p.Image, version})
	}
	for _, p := range c.Controllers {
		version := ""
		if p.Says != nil {
			version = p.Says.Version
		}
		add("controller", p.Pod, version)
	}
	for _, p := range c.Speakers {
		version := ""
		if p.Says != nil {
			version = p.Says.Version
		}
		add("speaker", p.Pod, version)
	}
	return v
}

// WriteText writes the versions for people.
func (v Versions) WriteText(out io.Writer) error {
	if err := line(out, "plugin "+v.Plugin); err != nil {
		return err
	}
	if len(v.Processes) == 0 {
		return writeGaps(out, v.NotKnown)
	}
	if err := line(out, ""); err != nil {
		return err
	}
	rows := [][]string{{"PROCESS", "NODE", "POD", "IMAGE", "VERSION"}}
	for _, p := range v.Processes {
		rows = append(rows, []string{p.Kind, or(p.Node, none), p.Pod, p.Image, or(p.Version, unknown)})
	}
	if err := writeTable(out, rows); err != nil {
		return err
	}
	return writeGaps(out, v.NotKnown)
}
