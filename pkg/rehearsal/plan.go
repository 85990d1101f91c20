package rehearsal

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/controller"
	"github.com/lanlord/lanlord/pkg/kube"
)

// Plan lists the changes that a configuration would make in the cluster.
type Plan struct {
	// At names the ConfigMap for the configuration.
	At string `json:"at"`
	// Changes are the Services that would get other addresses, sorted.
	Changes []Change `json:"changes"`
	// Notes list unknown facts, and objects that the cluster lacks.
	Notes []string `json:"notes,omitempty"`
	// Warnings list facts about the configuration in this cluster that a user should know.
	Warnings []string `json:"warnings,omitempty"`
	// Delay is the withdraw-delay of the change in nanoseconds. Delayed is the number of Services that keep their
	// addresses for Delay.
	Delay   time.Duration `json:"delay,omitempty"`
	Delayed int           `json:"delayed,omitempty"`
}

// Change is the change of one Service.
type Change struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Before and After are the addresses of the Service.
	Before []netip.Addr `json:"before"`
	After  []netip.Addr `json:"after"`
	// The condition of the Service would have Reason and Message after the change.
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// Withdraws reports whether a Service would lose an address.
func (p *Plan) Withdraws() bool { return slices.ContainsFunc(p.Changes, Change.withdraws) }

func (c Change) withdraws() bool {
	return slices.ContainsFunc(c.Before, func(a netip.Addr) bool { return !slices.Contains(c.After, a) })
}

// New reads the cluster, and returns the changes that cfg would make. The options name the installation; New adds a
// logger and the resources that a controller reads. The error reports that the cluster could not be read before ctx
// ended.
func New(ctx context.Context, cfg *config.Config, o kube.Options) (Plan, error) {
	ctx, cancel := context.WithCancel(ctx)
	o.Nodes, o.Namespaces, o.Speakers = true, true, true
	store := kube.New(o)
	ended := make(chan error, 1)
	go func() { ended <- store.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	if err := store.WaitSynced(ctx); err != nil {
		return Plan{}, err
	}
	snapshot := store.Snapshot()
	changes := controller.Preview(snapshot, cfg)
	p := Plan{
		At: fmt.Sprintf("ConfigMap %s/%s", o.Namespace, o.ConfigMap), Changes: make([]Change, len(changes)),
		Warnings: controller.Notes(snapshot, cfg), Delay: cfg.Allocation.WithdrawDelay,
	}
	for i, c := range changes {
		p.Changes[i] = Change{
			Namespace: c.Service.Namespace, Name: c.Service.Name, Before: c.Before, After: c.After, Reason: c.Reason, Message: c.Message,
		}
	}
	if was := snapshot.Config; was != nil {
		p.Delay = cfg.WithdrawDelayAfter(was)
		atOnce := controller.Preview(snapshot, cfg.WithPast([]config.Past{{Config: was, Until: time.Now().Add(p.Delay)}}))
		p.Delayed = countWithdrawing(changes) - countWithdrawing(atOnce)
	}
	p.checkSecrets(ctx, o.Client, cfg, o.Namespace)
	return p, nil
}

// checkSecrets adds notes about passwords of peers that are missing in the namespace of Lanlord.
func (p *Plan) checkSecrets(ctx context.Context, client kube.Client, cfg *config.Config, namespace string) {
	for _, peer := range cfg.Peers {
		if peer.PasswordSecret == (config.SecretKey{}) {
			continue
		}
		if problem := kube.MissingSecret(ctx, client, namespace, peer.PasswordSecret.Secret, peer.PasswordSecret.Key); problem != "" {
			p.Notes = append(p.Notes, fmt.Sprintf("peer %q: %s", peer.Name, problem))
		}
	}
}

func countWithdrawing(changes []controller.Change) (n int) {
	for _, c := range changes {
		if (Change{Before: c.Before, After: c.After}).withdraws() {
			n++
		}
	}
	return n
}

// WriteText writes the plan for people.
func (p Plan) WriteText(out io.Writer) error {
	fmt.Fprintf(out, "against the cluster, as %s\n", p.At)
	for _, note := range p.Notes {
		fmt.Fprintf(out, "note: %s\n", note)
	}
	for _, warning := range p.Warnings {
		fmt.Fprintf(out, "warning: %s\n", warning)
	}
	if len(p.Changes) == 0 {
		_, err := fmt.Fprintln(out, "\nNo Service of the cluster would get another address.")
		return err
	}
	fmt.Fprintf(out, "\n%s of the cluster would get other addresses:\n", services(len(p.Changes)))
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SERVICE\tNOW\tTHEN\tREASON")
	for _, c := range p.Changes {
		key := cluster.Key{Namespace: c.Namespace, Name: c.Name}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s: %s\n", key, list(c.Before), list(c.After), c.Reason, c.Message)
	}
	if err := table.Flush(); err != nil || p.Delay == 0 || p.Delayed == 0 {
		return err
	}
	_, err := fmt.Fprintf(out, "\n%d of these would keep the old addresses for %s first (withdraw-delay).\n", p.Delayed, p.Delay)
	return err
}

func services(n int) string {
	if n == 1 {
		return "1 Service"
	}
	return fmt.Sprintf("%d Services", n)
}

// list joins addresses for a table.
func list(addrs []netip.Addr) string {
	if len(addrs) == 0 {
		return "none"
	}
	texts := make([]string, len(addrs))
	for i, a := range addrs {
		texts[i] = a.String()
	}
	return strings.Join(texts, ",")
}

// WriteOwnClass writes a warning about an entry of announce-classes that has no effect, because Lanlord itself serves
// the class. own is the load-balancer class of Lanlord, empty for none.
func WriteOwnClass(cfg *config.Config, own string, out io.Writer) error {
	if !cfg.Announces(own) {
		return nil
	}
	what := fmt.Sprintf("of the class %q", own)
	if own == "" {
		what = "without a class"
	}
	_, err := fmt.Fprintf(out, "\nwarning: announce-classes: Lanlord itself gives addresses to Services %s, and announce-classes "+
		"changes nothing for them. If another controller gives these addresses, run Lanlord with a --load-balancer-class of "+
		"its own; give the same flag to this check.\n", what)
	return err
}
