package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/lanlord/lanlord/e2e/browser"
	"github.com/lanlord/lanlord/e2e/lab"
	"github.com/lanlord/lanlord/pkg/status"
)

// forwarded is what kubectl port-forward prints when it listens.
var forwarded = regexp.MustCompile(`Forwarding from (127\.0\.0\.1:\d+)`)

// forward is `kubectl port-forward` to the status page of a pod, until the test ends. It returns the page's address.
func (in *installation) forward(target string) string {
	in.t.Helper()
	command := exec.Command(filepath.Join(filepath.Dir(in.Kubeconfig()), "bin", "kubectl"), "--kubeconfig", in.Kubeconfig(), "-n", systemNamespace, "port-forward", target, ":7573")
	// It ends with this process, however that ends.
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdout, err := command.StdoutPipe()
	if err != nil {
		in.t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		in.t.Fatal(err)
	}
	in.t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if m := forwarded.FindStringSubmatch(lines.Text()); m != nil {
			go func() {
				for lines.Scan() { // or it would wait for somebody to read what it says
				}
			}()
			return "http://" + m[1] + "/"
		}
	}
	in.t.Fatalf("kubectl port-forward %s does not listen: %v", target, lines.Err())
	return ""
}

// ask runs the status command in a pod, and reads its JSON.
func (in *installation) ask(pod, binary string, to any) error {
	out, err := in.Kubectl("-n", systemNamespace, "exec", pod, "--", binary, "status")
	if err != nil {
		return fmt.Errorf("%s status in %s: %w", binary, pod, err)
	}
	return json.Unmarshal([]byte(out), to)
}

// TestStatus opens the pages of the controller and of a speaker as a user does, and asks each for its JSON.
func TestStatus(t *testing.T) {
	l := lab.Open(t)
	free := l.FreeAddresses(lab.IPv4, 2)
	in := install(t, l, free...)
	in.Deploy(in.namespace, "web", 2)
	in.expose("web", "first", nil)
	in.waitForAddresses("first", free[0])

	w := browser.Open(t, 1280, 900)
	w.Visit(in.forward("deploy/controller"))
	row := func(service string) string {
		return fmt.Sprintf(`[...document.querySelectorAll("table[aria-labelledby=services] tbody tr")].find(r => r.innerText.includes(%q))`, service)
	}
	w.Await("the pool", `document.querySelector("table[aria-labelledby=pools]").innerText.includes("nginx-ip-range")`)
	w.Await("the Service with its address", fmt.Sprintf(`%s?.innerText.includes(%q)`, row("first"), free[0]))
	w.Eval(`window.untouched = true`)
	in.expose("web", "second", nil)
	in.waitForAddresses("second", free[1])
	w.Await("a new Service, without reload", fmt.Sprintf(`window.untouched && %s?.innerText.includes(%q)`, row("second"), free[1]))
	in.expose("web", "third", nil)
	w.Await("why a Service waits", fmt.Sprintf(`window.untouched && %s?.innerText.includes("NoFreeAddress")`, row("third")))
	w.Shoot("controller")
	in.narrow(w, "controller")

	var c status.Controller
	in.WaitFor("the controller's JSON", patience, func(context.Context) error { return in.ask("deploy/controller", "/controller", &c) })
	if c.Role != status.Leader || c.Configuration.Stale || c.Configuration.Hash == "" || !c.Connected || len(c.Pools) != 1 || c.Pools[0].Families[0].Free != "0" {
		t.Errorf("the controller tells %+v", c)
	}

	owner := in.owner(free[0])
	w.Await("the node that answers", fmt.Sprintf(`%s?.innerText.includes(%q)`, row("first"), owner.Name))
	speaker := in.speakerOf(owner)
	w.Visit(in.forward(speaker))
	w.Await("the address among those of its node", fmt.Sprintf(
		`document.querySelector("table[aria-labelledby=owned]").innerText.includes(%q) && document.querySelector("h1").innerText.includes(%q)`, free[0], owner.Name))
	w.Await("all members", `[...document.querySelectorAll("table[aria-labelledby=members] tbody tr")].filter(r => r.innerText.includes("ready")).length === 4`)
	w.Shoot("speaker")
	in.narrow(w, "speaker")

	in.askSpeakers(owner, free[0].String(), c.Configuration.Hash)
	if complaints := w.Complaints(); len(complaints) > 0 {
		t.Errorf("the browser complains: %q", complaints)
	}
}

// narrow looks at the page on a phone.
func (in *installation) narrow(w *browser.Window, name string) {
	in.t.Helper()
	w.Resize(375, 800)
	if wide := w.Overflow(); len(wide) > 0 {
		in.t.Errorf("on a phone the page of the %s is wider than the screen: %q", name, wide)
	}
	w.Shoot(name + "-phone")
	w.Resize(1280, 900)
}

// askSpeakers asks every speaker for its JSON: the owner has the address, and all others watch it and have heard the owner.
func (in *installation) askSpeakers(owner lab.Node, address, hash string) {
	in.t.Helper()
	for _, node := range in.Nodes() {
		var s status.Speaker
		pod := in.speakerOf(node)
		in.WaitFor("what the speaker of "+node.Name+" tells of "+address, patience, func(context.Context) error {
			s = status.Speaker{}
			if err := in.ask(pod, "/speaker", &s); err != nil {
				return err
			}
			if s.Node != node.Name || !strings.HasSuffix(pod, s.Pod) || !s.Ready || s.Configuration.Hash != hash || len(s.Members) != 4 {
				return fmt.Errorf("it is %s of node %s, ready %t (%s), with configuration %s and %d members", s.Pod, s.Node, s.Ready, s.NotReady,
					s.Configuration.Hash, len(s.Members))
			}
			for _, o := range s.Owned {
				if o.Address == address && node.Name == owner.Name && len(o.Interfaces) > 0 {
					return nil
				}
			}
			for _, x := range s.Watched {
				if x.Address == address && node.Name != owner.Name {
					if x.Answers == nil || x.Answers.Node != owner.Name || x.Answers.MAC != owner.MAC {
						return fmt.Errorf("it has heard %+v answer, and not %s", x.Answers, owner.Name)
					}
					return nil
				}
			}
			return fmt.Errorf("it owns %v and watches %v", s.Owned, s.Watched)
		})
	}
}

// speakerOf returns the speaker's pod on a node, as kubectl wants it named.
func (in *installation) speakerOf(node lab.Node) string {
	in.t.Helper()
	for pod, on := range in.Pods(systemNamespace, "component=speaker") {
		if on == node.Name {
			return "pod/" + pod
		}
	}
	in.t.Fatalf("no speaker on %s", node.Name)
	return ""
}
