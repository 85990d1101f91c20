package inspect

import "fmt"

// checkRollout looks for an update of Lanlord that is not finished. During an update the old Pods go on working, so all
// nodes may have a ready speaker while no new Pod starts.
func checkRollout(c *Cluster, f *findings) string {
	if c.Hidden {
		f.unchecked("the Pods of Lanlord could not be looked at")
		return ""
	}
	ready := map[string]bool{}
	for i := range c.Speakers {
		if s := &c.Speakers[i]; s.Ready {
			ready[s.Node] = true
		}
	}
	stuck := 0
	for i := range c.Speakers {
		s := &c.Speakers[i]
		if s.Ready || s.Deleting || !ready[s.Node] || s.Problem == "" || s.starting() {
			continue // checkSpeakers reports a node without a ready speaker
		}
		stuck++
		mend := fmt.Sprintf("kubectl -n %s describe pod %s; kubectl -n %s rollout undo daemonset goes back", c.Namespace, s.Name,
			c.Namespace)
		f.wrong(mend, "the new speaker's pod %s%s does not start, so the rollout waits, and the old pod goes on%s", s.Name,
			onNode(s.Node), colon(s.Problem))
	}
	d := c.DaemonSet
	if d == nil {
		return "no Pod waits for an update"
	}
	status := "kubectl -n " + c.Namespace + " rollout status daemonset " + d.Name
	switch left := d.Desired - d.Updated; {
	case !d.Seen:
		f.remark(status, "the rollout of the DaemonSet %s begins", d.Name)
	case left <= 0 || stuck > 0:
	case d.OnDelete:
		f.remark("delete the speakers' Pods one by one; the DaemonSet has updateStrategy OnDelete",
			"%d of %s have a speaker of the newest template", d.Updated, Count(d.Desired, "node"))
	default:
		f.remark(status, "a rollout goes on: %d of %s have a speaker of the newest template", d.Updated, Count(d.Desired, "node"))
	}
	if d.Desired == 0 {
		return "no Pod waits for an update"
	}
	return fmt.Sprintf("the speakers of %s are up to date", Count(d.Desired, "node"))
}

// starting reports whether the container of the Pod has just been created, which takes a few seconds.
func (p *Pod) starting() bool {
	return p.Problem == "ContainerCreating" || p.Problem == "PodInitializing"
}
