package scale

import (
	"cmp"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/lanlord/lanlord/e2e/wire"
)

// row is one line of the table. value returns "" for what was not measured.
type row struct {
	name, goal string
	value      func(Result) string
}

func rows() []row {
	return []row{
		{"first Service created to last assigned, s", "", func(r Result) string { return seconds(r.Created.All) }},
		{"  the same by a bare client, s", "", func(r Result) string { return seconds(r.Reference.Both) }},
		{"  ratio", "1.2", func(r Result) string { return ratio(r.Created.All, r.Reference.Both) }},
		{"all there at once: first assigned to last, s", "", func(r Result) string { return seconds(r.Again.Writes) }},
		{"  the writes by a bare client, s", "", func(r Result) string { return seconds(r.Reference.Writes) }},
		{"  ratio", "1.2", func(r Result) string {
			if r.Again.All == 0 {
				return ""
			}
			return ratio(r.Again.Writes, r.Reference.Writes)
		}},
		{"controller, CPU for it, created one by one, s", "3 for 2,000", func(r Result) string { return seconds(r.Created.CPU) }},
		{"controller, CPU for it, all there at once, s", "", func(r Result) string { return seconds(r.Again.CPU) }},
		{"endpoints created to all addresses announced, s", "", func(r Result) string { return seconds(r.Announced) }},
		{"controller, memory, MB", "25 to 40, 100", func(r Result) string { return megabytes(r.Settled.Controller) }},
		{"  after a restart", "", func(r Result) string { return megabytes(r.Restarted.Controller) }},
		{"speaker, memory, MB", "25 to 40, 100", func(r Result) string { return megabytes(r.Settled.Speaker) }},
		{"  after a restart", "", func(r Result) string { return megabytes(r.Restarted.Speaker) }},
		{"controller, idle, % of a core", "", func(r Result) string { return percent(r.Idle.Controller, r.Idle.Over) }},
		{"speaker, idle, % of a core", "0.2", func(r Result) string { return percent(r.Idle.Speaker, r.Idle.Over) }},
		{"controller, CPU for an endpoint change, us", "", func(r Result) string { return each(r.Endpoints.Controller, r.Idle.Controller, r, r.Endpoints.Over) }},
		{"speaker, CPU for an endpoint change, us", "", func(r Result) string { return each(r.Endpoints.Speaker, r.Idle.Speaker, r, r.Endpoints.Over) }},
		{"controller, CPU for a Node's heartbeat, us", "", func(r Result) string { return each(r.Heartbeats.Controller, r.Idle.Controller, r, r.Heartbeats.Over) }},
		{"speaker, CPU for a Node's heartbeat, us", "", func(r Result) string { return each(r.Heartbeats.Speaker, r.Idle.Speaker, r, r.Heartbeats.Over) }},
		{"speaker, CPU for a request outside the pools, us", "1", func(r Result) string { return share(r.Foreign.Outside) }},
		{"  for an address of the pools that nobody has", "1", func(r Result) string { return share(r.Foreign.Inside) }},
		{"controller started to a new Service assigned, s", "2", func(r Result) string { return seconds(r.ControllerStarted) }},
		{"  since the one before was told to stop, s", "", func(r Result) string { return seconds(r.ControllerStopped) }},
		{"speaker started to ready, s", "", func(r Result) string { return seconds(r.SpeakerReady) }},
		{"node crashed: addresses that others took", "", func(r Result) string { return count(r.Crash.Taken) }},
		{"  first announced after, ms", "", func(r Result) string { return milliseconds(r.Crash.First) }},
		{"  last announced after the first, ms", "500", func(r Result) string { return milliseconds(r.Crash.Last - r.Crash.First) }},
		{"gossip and watching, kB/s a node", "20", func(r Result) string {
			return fmt.Sprintf("%.1f", float64(r.Idle.Gossip+r.Idle.Watching)/1e3/r.Idle.Over.Seconds())
		}},
		{"  gossip alone", "", func(r Result) string { return fmt.Sprintf("%.1f", float64(r.Idle.Gossip)/1e3/r.Idle.Over.Seconds()) }},
	}
}

// Write writes a table with a column for each result.
func Write(w io.Writer, results []Result) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "\tgoal")
	for _, r := range results {
		fmt.Fprintf(t, "\t%d Services", r.Services)
	}
	fmt.Fprint(t, "\nspeakers, Nodes\t")
	for _, r := range results {
		fmt.Fprintf(t, "\t%d, %d", r.Speakers, r.Speakers+r.Nodes)
	}
	for _, line := range rows() {
		fmt.Fprintf(t, "\n%s\t%s", line.name, line.goal)
		for _, r := range results {
			fmt.Fprintf(t, "\t%s", cmp.Or(line.value(r), "-"))
		}
	}
	fmt.Fprintln(t)
	return t.Flush()
}

func seconds(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", d.Seconds())
}

func milliseconds(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return fmt.Sprint(d.Milliseconds())
}

func count(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

func ratio(a, b time.Duration) string {
	if b == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", a.Seconds()/b.Seconds())
}

// megabytes shows all, what is not of the program's file, and the most there was.
func megabytes(m Memory) string {
	return fmt.Sprintf("%.1f (%.1f own, peak %.1f)", float64(m.Now)/1e6, float64(m.Own)/1e6, float64(m.Peak)/1e6)
}

func percent(used, over time.Duration) string {
	return fmt.Sprintf("%.2f", 100*used.Seconds()/over.Seconds())
}

// share shows CPU time for a frame: the program's own, and the kernel's on its behalf.
func share(c wire.Cost) string {
	microseconds := func(d time.Duration) float64 { return d.Seconds() * 1e6 }
	return fmt.Sprintf("%.2f (kernel %.2f)", microseconds(c.User), microseconds(c.System))
}

// each shows what one of the changes costs, beside what the process takes anyway.
func each(used, idle time.Duration, r Result, over time.Duration) string {
	anyway := time.Duration(idle.Seconds() / r.Idle.Over.Seconds() * float64(over))
	return fmt.Sprint(((used - anyway) / time.Duration(r.Plan.Changes)).Microseconds())
}
