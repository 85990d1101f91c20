package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/inspect"
	"github.com/lanlord/lanlord/pkg/kube"
)

const (
	// moveWait is the longest time to wait for a move. With --back, the failback delay of the configuration is added.
	moveWait = 30 * time.Second
	// moveLook is the time from one look to the next.
	moveLook = 250 * time.Millisecond
	// wishSeen is the longest time until the speakers see the annotation. If the election still names another node
	// after wishSeen, the election is not going to change.
	wishSeen = 10 * time.Second
	// wishGone is the longest time until the speakers see that the annotation is gone. Before that, the election still
	// names the node in the annotation.
	wishGone = time.Second
	// takeBackTime is the longest time to restore the annotation after a failed move. The user may have interrupted the
	// command, or its time may be over.
	takeBackTime = 5 * time.Second
)

func (p *plugin) move() *cobra.Command {
	command := &cobra.Command{
		Use: "move SERVICE NODE", Short: "Have a Service's addresses announced by a node, and wait until they are",
		Long: "Has a Service's addresses announced by a node, and waits until they are: it sets the annotation " + kube.PreferNodeAnnotation + ".\n" +
			"With --back and no node it removes the annotation; the addresses go back when the failback delay of the configuration has passed.\n" +
			"Services that share an address move along. move waits for 30 s, and with --back for the failback delay in addition; " +
			"--timeout limits the whole command instead.\n\nExit status 1 if the addresses have not moved in the time. The " +
			"annotation is then as before; --wait=false sets it in any case.",
	}
	command.Example = `  kubectl lanlord move web n2              # and wait until n2 answers
  kubectl lanlord move shop/cart n2 --timeout 2m
  kubectl lanlord move shop/cart n2 --wait=false
  kubectl lanlord move shop/cart --back`
	format := outputFlag(command)
	back := command.Flags().Bool("back", false, "Remove the wish for a node instead")
	wait := command.Flags().Bool("wait", true, "Wait until the addresses have moved")
	command.Args = func(c *cobra.Command, given []string) error {
		if *back {
			return args("one Service and no node with --back", 1, 1)(c, given)
		}
		return args("a Service and a node, or a Service and --back", 2, 2)(c, given)
	}
	command.ValidArgsFunction = p.completeServices
	command.RunE = func(cmd *cobra.Command, given []string) error {
		if err := checkOutput(*format); err != nil {
			return err
		}
		key, err := p.serviceKey(given[0])
		if err != nil {
			return err
		}
		node := ""
		if !*back {
			node = given[1]
		}
		m, err := p.moveTo(cmd.Context(), key, node, *wait)
		if err != nil && !errors.Is(err, errUnsure) {
			return err
		}
		if err := p.print(m, *format); err != nil {
			return err
		}
		if err != nil {
			return err
		}
		if *wait && !m.Done {
			return errWrong
		}
		return nil
	}
	return command
}

// moveTo makes node the preferred node of a Service. An empty node removes the preference.
func (p *plugin) moveTo(ctx context.Context, key cluster.Key, node string, wait bool) (inspect.Move, error) {
	before, a, err := p.look(ctx, ordinary)
	if err != nil {
		return inspect.Move{}, err
	}
	s := before.Service(key)
	if s == nil {
		e, err := p.explain(ctx, before, a, key)
		if err != nil {
			return inspect.Move{}, err
		}
		return inspect.Move{}, fmt.Errorf("%s is not Lanlord's: %s", key, e.Message)
	}
	if node != "" {
		if err := inspect.MayMove(before, key, node); err != nil {
			return inspect.Move{}, err
		}
	}
	w, err := p.prefer(ctx, a, key, node)
	if err != nil {
		return inspect.Move{}, err
	}
	if !wait || !inspect.Asked(before) {
		m := inspect.Moved(before, before, key, node)
		m.Message = ""
		if wait {
			m.Message = "whether the addresses move is not known, because no speaker could be asked"
			p.noteGaps(before)
			return m, errUnsure
		}
		return m, nil
	}
	m, err := p.waitMoved(ctx, before, key, node)
	if node == "" || err == nil && m.Done {
		return m, err
	}
	ends := w.takeBack(ctx)
	if err != nil {
		fmt.Fprintf(p.stderr, "%s: %s\n", key, ends)
		return m, err
	}
	m.Message += "; " + ends
	return m, nil
}

// wish is a change of the annotation of a Service.
type wish struct {
	access
	key cluster.Key
	// node is the new value, empty for none. before is the former value, nil for none.
	node   string
	before *string
}

// prefer sets the annotation, or removes the annotation if node is empty.
func (p *plugin) prefer(ctx context.Context, a access, key cluster.Key, node string) (wish, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	w := wish{access: a, key: key, node: node}
	o, err := a.client.CoreV1().Services(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
	if err != nil {
		return w, describe(err)
	}
	if value, has := o.Annotations[kube.PreferNodeAnnotation]; has {
		w.before = &value
	}
	var value *string
	if node != "" {
		value = &node
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]*string{kube.PreferNodeAnnotation: value}}})
	if err != nil {
		return w, err
	}
	_, err = w.patch(ctx, types.MergePatchType, patch)
	if apierrors.IsForbidden(err) {
		return w, fmt.Errorf("the right to patch services in %s is missing, which move needs: %w", key.Namespace, err)
	}
	if err != nil {
		return w, describe(err)
	}
	return w, nil
}

func (w wish) patch(ctx context.Context, kind types.PatchType, patch []byte) (*corev1.Service, error) {
	options := metav1.PatchOptions{FieldManager: "kubectl-lanlord"}
	return w.client.CoreV1().Services(w.key.Namespace).Patch(ctx, w.key.Name, kind, patch, options)
}

// takeBack restores the former annotation, unless somebody else has changed the annotation since. takeBack describes
// the result.
func (w wish) takeBack(ctx context.Context) string {
	// The context of the command may have ended.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), takeBackTime)
	defer cancel()
	path := "/metadata/annotations/" + strings.ReplaceAll(kube.PreferNodeAnnotation, "/", "~1") // RFC 6901, section 3
	operation := func(op string, value *string) map[string]any {
		o := map[string]any{"op": op, "path": path}
		if value != nil {
			o["value"] = *value
		}
		return o
	}
	restore := operation("remove", nil)
	if w.before != nil {
		restore = operation("replace", w.before)
	}
	patch, err := json.Marshal([]any{operation("test", &w.node), restore})
	if err == nil {
		_, err = w.patch(ctx, types.JSONPatchType, patch)
	}
	switch {
	case apierrors.IsNotFound(err):
		return "the Service is gone"
	case err != nil && w.replaced(ctx):
		return "somebody else has changed the annotation " + kube.PreferNodeAnnotation + ", which stays so"
	case err != nil:
		return fmt.Sprintf("the annotation %s could not be restored: %v; kubectl lanlord move %s --back removes it",
			kube.PreferNodeAnnotation, err, w.key)
	}
	return "the annotation " + kube.PreferNodeAnnotation + " is as before"
}

// replaced reports whether the annotation has another value than the one from this command.
func (w wish) replaced(ctx context.Context) bool {
	o, err := w.client.CoreV1().Services(w.key.Namespace).Get(ctx, w.key.Name, metav1.GetOptions{})
	return err == nil && o.Annotations[kube.PreferNodeAnnotation] != w.node
}

// waitMoved waits until the addresses have moved, or until the limit or the election shows that they will not move.
func (p *plugin) waitMoved(ctx context.Context, before *inspect.Cluster, key cluster.Key, node string) (inspect.Move, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		limit := moveWait
		if failback := inspect.FailbackOf(before); node == "" && failback != config.FailbackNever {
			limit += failback
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	told := newProgress(p.terminal)
	defer told.done()
	var m inspect.Move
	for began := time.Now(); ; {
		now, _, err := p.look(ctx, ordinary)
		if err != nil {
			if ctx.Err() != nil && m.Service != "" {
				return m, interrupted(ctx)
			}
			return m, err
		}
		if now.Service(key) == nil {
			return m, fmt.Errorf("%s is gone", key)
		}
		if m = inspect.Moved(before, now, key, node); m.Done && (node != "" || time.Since(began) > wishGone) {
			return m, nil
		}
		switch never := inspect.FailbackOf(now) == config.FailbackNever; {
		case time.Since(began) < wishSeen:
		case node != "" && !m.Elects(), node == "" && never:
			return m, nil
		}
		told.say("waiting until %s has moved", key)
		select {
		case <-ctx.Done():
			return m, interrupted(ctx)
		case <-time.After(moveLook):
		}
	}
}

// interrupted returns nil if the time limit of ctx has passed, else the error of ctx.
func interrupted(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil
	}
	return ctx.Err()
}
