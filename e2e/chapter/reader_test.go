package chapter

import (
	"context"
	"fmt"
	"net/netip"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/lanlord/lanlord/e2e/lab"
)

// patience is for what takes seconds on an idle machine.
const patience = 2 * time.Minute

// pageRange is the range of addresses on the page, in whose place the test has free ones of the laboratory.
const pageRange = "192.168.56.11-192.168.56.13"

// Where the reader's files are on the client: what belongs to the repository, and the variables of the shell.
const (
	home     = "/root/reader"
	checkout = home + "/lanlord"
	state    = home + "/variables"
)

// reader types the commands of one section of the page into a shell on the laboratory's client.
type reader struct {
	*lab.Lab
	t         *testing.T
	addresses []netip.Addr // whose range is in the place of pageRange
	namespace string
	blocks    []string // that are still to be run, in order
}

// newReader sits down at the client, with kubectl and a checkout of the repository.
func newReader(t *testing.T, l *lab.Lab, blocks []string) *reader {
	t.Helper()
	r := &reader{Lab: l, t: t, blocks: blocks, addresses: l.FreeAddresses(lab.IPv4, 3)}
	l.EquipClient("default")
	for _, name := range []string{"deploy", "e2e/addons"} {
		l.Copy(path.Join("../..", name), path.Join(checkout, name))
	}
	l.MustExec("sh", "-c", ": >"+state)
	return r
}

// section is the reader when he comes to another section, which is for a test of its own, and has a namespace of its own.
func (r *reader) section(t *testing.T, blocks []string) *reader {
	t.Helper()
	next := *r
	next.Lab, next.t, next.blocks = r.Sub(t), t, blocks
	next.namespace = next.Namespace()
	next.MustExec("kubectl", "config", "set-context", "--current", "--namespace="+next.namespace)
	return &next
}

// next takes the next block, which must begin so: the test is to be changed with the page.
func (r *reader) next(begins string) string {
	r.t.Helper()
	if len(r.blocks) == 0 {
		r.t.Fatalf("the section has no commands left; want some that begin with %q", begins)
	}
	block := r.blocks[0]
	r.blocks = r.blocks[1:]
	if !strings.HasPrefix(block, begins) {
		r.t.Fatalf("the section goes on with\n%s\nwant commands that begin with %q", block, begins)
	}
	block = strings.ReplaceAll(block, pageRange, fmt.Sprintf("%s-%s", r.addresses[0], r.addresses[len(r.addresses)-1]))
	r.t.Logf("$ %s", strings.ReplaceAll(block, "\n", "\n> "))
	return block
}

// run runs the next block, of which every command must succeed, and returns what it printed.
func (r *reader) run(begins string) string {
	r.t.Helper()
	output, err := r.shell(r.next(begins))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Log(output)
	return output
}

// runUntil runs the next block until check is content with what it printed, as a reader does who has typed too fast.
func (r *reader) runUntil(begins string, check func(output string) error) {
	r.t.Helper()
	r.runWithin(patience, begins, check)
}

// runWithin is runUntil for what may take longer, or not so long.
func (r *reader) runWithin(within time.Duration, begins string, check func(output string) error) {
	r.t.Helper()
	block := r.next(begins)
	var output string
	r.WaitFor("what the page says", within, func(context.Context) (err error) {
		if output, err = r.shell(block); err != nil {
			return err
		}
		if err = check(output); err != nil {
			return fmt.Errorf("%w; printed was\n%s", err, output)
		}
		return nil
	})
	r.t.Log(output)
}

// shell runs a block in bash, with the variables that the ones before it have set. It ends with the first command that fails.
func (r *reader) shell(block string) (string, error) {
	script := fmt.Sprintf("set -aeuo pipefail; . %s; cd %s\n%s\nexport -p >%s", state, checkout, block, state)
	return r.Exec("timeout", "110", "bash", "-c", script)
}

// value returns a variable of the shell.
func (r *reader) value(name string) string {
	r.t.Helper()
	output, err := r.shell(fmt.Sprintf("printf %%s \"$%s\"", name))
	if err != nil {
		r.t.Fatal(err)
	}
	return output
}

// done fails the test if the section has commands that it did not run.
func (r *reader) done() {
	r.t.Helper()
	if len(r.blocks) > 0 {
		r.t.Errorf("%d blocks of commands were not run; the first is\n%s", len(r.blocks), r.blocks[0])
	}
}

// deleteAfter deletes what a manifest of the checkout makes when the test ends, although the page does so too: the test may fail
// before.
func (r *reader) deleteAfter(args ...string) {
	r.t.Cleanup(func() {
		r.t.Helper()
		r.MustKubectl(append([]string{"delete", "--ignore-not-found", "--wait"}, args...)...)
	})
}
