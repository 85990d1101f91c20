package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/inspect"
)

const (
	// mostLog is the greatest size of the log of one container in bytes; the end of the log counts. mostLogs is the
	// greatest size of all logs together. longestLog is the number of lines.
	mostLog, mostLogs = 2 << 20, 48 << 20
	longestLog        = 10_000
	// dumpTimeout is the default of --timeout.
	dumpTimeout = 2 * time.Minute
)

// logs names the log of a container.
type logs struct {
	namespace, pod, container string
	// previous is true for the log of the container before its last restart.
	previous bool
	// lines and bytes limit the log.
	lines, bytes int64
}

func (p *plugin) dump() *cobra.Command {
	var file string
	command := &cobra.Command{Use: "dump", Short: "Write a bundle for support: statuses, objects, Events and logs, without secrets", Args: args("", 0, 0)}
	command.Long = command.Short + ".\n\nThe bundle is a .tar.gz with a README.txt that lists its content and what could not be read. " +
		"It contains no Secret. Passwords in the configuration, environment variables, annotations of other programs and texts that " +
		"look like tokens are left out. It contains the names and addresses of Nodes and of Services of type LoadBalancer: look into it before " +
		"you give it to others."
	command.Example = `  kubectl lanlord dump
  kubectl lanlord dump --file bundle.tar.gz --timeout 2m
  kubectl lanlord dump --file - | tar -tz     # what it contains`
	command.Flags().StringVarP(&file, "file", "f", "", "File to write, - for standard output; by default lanlord-dump-TIME.tar.gz here")
	command.RunE = func(cmd *cobra.Command, _ []string) error { return p.writeDump(cmd.Context(), file) }
	return command
}

// writeDump collects the bundle and writes the bundle to a file.
func (p *plugin) writeDump(ctx context.Context, file string) error {
	name := "lanlord-dump-" + p.now().UTC().Format("20060102T150405Z")
	if file == "" {
		file = name + ".tar.gz"
	}
	d, err := p.collectDump(ctx)
	if err != nil {
		return err
	}
	text, err := d.bundle(name)
	if err != nil {
		return err
	}
	for _, gap := range d.missing {
		fmt.Fprintln(p.stderr, "Note: "+gap)
	}
	if file == "-" {
		_, err := p.binary.Write(text)
		return err
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return fmt.Errorf("write the bundle: %w", err)
	}
	_, err = fmt.Fprintf(p.stdout, "%s: %s, %d KiB. Look into it before you give it to others.\n", file,
		inspect.Count(len(d.files)+1, "file"), (len(text)+1023)/1024)
	return err
}

// dumper collects the files of a bundle.
type dumper struct {
	*plugin
	access   access
	where    installation
	cluster  *inspect.Cluster
	redactor redactor
	// servicesIn is the namespace of the Services, empty for all. involved holds the Services in the bundle.
	servicesIn string
	involved   map[cluster.Key]bool
	files      []dumpFile
	// missing lists what could not be read.
	missing []string
}

type dumpFile struct {
	name string
	text []byte
}

func (d *dumper) add(name string, text []byte) { d.files = append(d.files, dumpFile{name, text}) }

// collectDump reads everything that a bundle contains.
func (p *plugin) collectDump(ctx context.Context) (*dumper, error) {
	a, err := p.connect(p.config())
	if err != nil {
		return nil, err
	}
	told := newProgress(p.terminal)
	defer told.done()
	where, err := p.findOnly(ctx, a)
	if err != nil {
		return nil, err
	}
	c, err := p.gather(ctx, a, where, thorough, told)
	if err != nil {
		return nil, err
	}
	d := &dumper{plugin: p, access: a, where: where, cluster: c, involved: map[cluster.Key]bool{}}
	if slices.ContainsFunc(c.Gaps, func(g inspect.Gap) bool { return g.What == inspect.OfOthers }) {
		if d.servicesIn, _, err = p.config().Namespace(); err != nil {
			return nil, describe(err)
		}
		d.missing = append(d.missing, "the right to list services in the cluster is missing, so the bundle has the namespace "+d.servicesIn+" only")
	}
	if err := d.reports(); err != nil {
		return nil, err
	}
	told.say("reading objects")
	d.objects(ctx)
	d.statuses()
	told.say("reading logs")
	d.logs(ctx)
	return d, nil
}

// reports adds the reports of the other commands.
func (d *dumper) reports() error {
	c := d.cluster
	for _, r := range []struct {
		name   string
		report report
	}{
		{"doctor", inspect.Examine(c)}, {"status", inspect.Look(c)}, {"services", inspect.Services(c, "")}, {"pools", inspect.Pools(c)},
		{"peers", inspect.Peers(c)}, {"version", inspect.VersionsOf(c, d.version)},
	} {
		var text bytes.Buffer
		write := r.report.WriteText
		if w, is := r.report.(wide); is {
			write = w.WriteWide
		}
		if err := write(&text); err != nil {
			return err
		}
		d.add(r.name+".txt", text.Bytes())
		asJSON, err := marshal(r.report, "json")
		if err != nil {
			return err
		}
		d.add(r.name+".json", append(asJSON, '\n'))
	}
	var text bytes.Buffer
	for _, h := range inspect.Timeline(c) {
		fmt.Fprintf(&text, "%s  %-14s  %s  %s\n", h.At.UTC().Format("2006-01-02T15:04:05.000Z"), h.Reason, h.Subject, h.Message)
	}
	d.add("timeline.txt", text.Bytes())
	return nil
}

// statuses adds the status of each process.
func (d *dumper) statuses() {
	add := func(pod string, says any, silent bool, silence string) {
		if silent {
			d.missing = append(d.missing, "status/"+pod+".json: "+silence)
			return
		}
		text, err := marshal(says, "json")
		if err != nil {
			d.missing = append(d.missing, fmt.Sprintf("status/%s.json: %v", pod, err))
			return
		}
		d.add("status/"+pod+".json", append(text, '\n'))
	}
	for _, x := range d.cluster.Controllers {
		add(x.Name, x.Says, x.Says == nil, x.Silence)
	}
	for _, x := range d.cluster.Speakers {
		add(x.Name, x.Says, x.Says == nil, x.Silence)
	}
	for _, g := range d.cluster.Gaps {
		d.missing = append(d.missing, g.String())
	}
}

// logs adds the end of the log of each container of Lanlord, and the end of the log before the last restart.
func (d *dumper) logs(ctx context.Context) {
	if len(d.where.pods) == 0 {
		return
	}
	left := int64(mostLogs)
	share := min(mostLog, left/int64(len(d.where.pods)))
	for i := range d.where.pods {
		pod := &d.where.pods[i]
		for _, s := range pod.Status.ContainerStatuses {
			for _, previous := range []bool{false, true} {
				if previous && s.RestartCount == 0 {
					continue
				}
				l := logs{namespace: pod.Namespace, pod: pod.Name, container: s.Name, previous: previous, lines: longestLog, bytes: share}
				if forbidden := d.log(ctx, l); forbidden {
					d.missing = append(d.missing, "logs/: the right to get pods/log in "+pod.Namespace+" is missing")
					return
				}
			}
		}
	}
}

// log adds one log.
func (d *dumper) log(ctx context.Context, l logs) (forbidden bool) {
	name := "logs/" + l.pod + "." + l.container + ".log"
	if l.previous {
		name = "logs/" + l.pod + "." + l.container + ".previous.log"
	}
	text, err := d.access.logs(ctx, l)
	switch {
	case apierrors.IsForbidden(err):
		return true
	case err != nil:
		d.missing = append(d.missing, name+": "+err.Error())
		return false
	}
	if cut := int64(len(text)) - l.bytes; cut > 0 {
		text = text[cut:]
	}
	d.add(name, text)
	return false
}

// readLog returns the end of a log.
func readLog(ctx context.Context, a access, l logs) ([]byte, error) {
	stream, err := a.client.CoreV1().Pods(l.namespace).GetLogs(l.pod, &corev1.PodLogOptions{
		Container: l.container, Previous: l.previous, TailLines: &l.lines, Timestamps: true,
	}).Stream(ctx)
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	// The API server cuts a log at its beginning, and a limit in bytes would cut the end. So read all lines, and keep
	// the end.
	text, err := io.ReadAll(io.LimitReader(stream, 16*l.bytes))
	return text, err
}

// bundle returns the .tar.gz with all files in a folder.
func (d *dumper) bundle(folder string) ([]byte, error) {
	d.add("README.txt", d.summary())
	slices.SortStableFunc(d.files, func(x, y dumpFile) int { return strings.Compare(x.name, y.name) })
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	archive := tar.NewWriter(zip)
	for _, f := range d.files {
		text := d.redactor.redact(f.text)
		header := &tar.Header{
			Typeflag: tar.TypeReg, Name: path.Join(folder, f.name), Mode: 0o600, Size: int64(len(text)), ModTime: d.now().UTC().Truncate(1e9), Format: tar.FormatPAX,
		}
		if err := archive.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("write %s into the bundle: %w", f.name, err)
		}
		if _, err := archive.Write(text); err != nil {
			return nil, fmt.Errorf("write %s into the bundle: %w", f.name, err)
		}
	}
	if err := errors.Join(archive.Close(), zip.Close()); err != nil {
		return nil, fmt.Errorf("write the bundle: %w", err)
	}
	return packed.Bytes(), nil
}

// summary returns the README of the bundle.
func (d *dumper) summary() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Support bundle of Lanlord, of %s, from the namespace %s, by the plugin %s.\n\n", d.now().UTC().Format("2006-01-02 15:04:05 UTC"),
		d.where.namespace, d.version)
	b.WriteString("doctor, status, services, pools, peers, version: the reports of the commands, as text and as JSON\n" +
		"timeline.txt: the changes that the processes remember, the newest first\n" +
		"status/: what each process says of itself\n" +
		"objects/: Services of type LoadBalancer with their EndpointSlices, Nodes, Events, and the objects of Lanlord\n" +
		"logs/: the end of the logs of Lanlord's containers\n\n" +
		"No Secret is in the bundle. Passwords in the configuration, comments of the configuration, values of environment\n" +
		"variables, annotations of other programs, and texts that look like tokens or private keys are left out.\n\nFiles:\n")
	names := []string{}
	for _, f := range d.files {
		names = append(names, f.name)
	}
	slices.Sort(names)
	for _, name := range names {
		b.WriteString("  " + name + "\n")
	}
	if len(d.missing) > 0 {
		b.WriteString("\nNot in the bundle:\n")
		for _, gap := range d.missing {
			b.WriteString("  " + gap + "\n")
		}
	}
	return b.Bytes()
}
