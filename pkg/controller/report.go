package controller

import (
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/lanlord/lanlord/pkg/allocator"
	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

// The reasons of Events on the ConfigMap.
const (
	configAccepted = "ConfigAccepted"
	configRejected = "ConfigRejected"
	configWarning  = "ConfigWarning"
)

// report identifies a version of the ConfigMap. rejected is true if that version is not valid. hash is the hash of the
// configuration in use.
type report struct {
	uid, version string
	rejected     bool
	hash         uint64
}

// report logs each version of the ConfigMap, or of the set of objects in its place, once, and sends Events: about a
// rejected version, about an accepted configuration, and about the parts that Lanlord does not use as written.
func (c *Controller) report(snapshot cluster.Snapshot) {
	state := snapshot.ConfigState
	now, was := report{state.Object.UID, state.Version, state.Problem != nil, snapshot.Versions.Config.Hash}, c.reported
	if now == was {
		return
	}
	c.reported = now
	if state.Problem != nil {
		fallback := "there is no earlier one to use"
		if snapshot.Config != nil {
			fallback = "the last good one stays in use"
		}
		c.Log.Warn("configuration rejected; "+fallback, "version", state.Version, "err", state.Problem)
		if len(state.Objects) > 0 {
			c.objectEvents(state.Objects, "not valid, "+fallback+" for all objects: ")
			return
		}
		c.configEvent(state.Object, configRejected, "not valid, "+fallback+": ", problems(state.Problem))
		return
	}
	if snapshot.Config == nil {
		return
	}
	warnings := make([]string, len(snapshot.Config.Warnings))
	for i, w := range snapshot.Config.Warnings {
		warnings[i] = w.String()
		c.Log.Warn("configuration accepted, but not as written", "version", state.Version, "problem", warnings[i])
	}
	c.Log.Info("configuration accepted", "version", state.Version, "pools", len(snapshot.Config.Pools))
	// A controller that has just started does not repeat the Event of an earlier controller.
	if was.rejected || now.hash != was.hash && (was != report{} || !state.Known) {
		c.configAccepted(state.Object, snapshot.Config)
	}
	if len(warnings) > 0 {
		c.configEvent(state.Object, configWarning, "", warnings)
	}
}

// configAccepted sends an Event that describes the configuration.
func (c *Controller) configAccepted(object cluster.ObjectRef, cfg *config.Config) {
	if !exists(object) {
		return
	}
	v4, v6 := new(big.Int), new(big.Int)
	lines := make([]string, len(cfg.Pools))
	for i := range cfg.Pools {
		p := &cfg.Pools[i]
		four, six := p.Size()
		v4.Add(v4, four)
		v6.Add(v6, six)
		ranges := make([]string, len(p.Ranges))
		for j, r := range p.Ranges {
			ranges[j] = r.String()
		}
		lines[i] = fmt.Sprintf("pool %q with %s", p.Name, strings.Join(ranges, ", "))
	}
	message := "in use, without any pool"
	if len(lines) > 0 {
		noun := "pools"
		if len(lines) == 1 {
			noun = "pool"
		}
		message = fmt.Sprintf("in use, with %d %s of %s IPv4 and %s IPv6 addresses: ", len(lines), noun, v4, v6)
		message += enumerate(lines, maxEvent-len(message))
	}
	c.Writer.Event(cluster.Event{Object: object, Reason: configAccepted, Message: message})
}

// exists reports whether there is an object for Events: the ConfigMap, or the Namespace of a set of objects.
func exists(object cluster.ObjectRef) bool { return object.UID != "" || object.Kind == "Namespace" }

// configEvent sends an Event about the ConfigMap if the ConfigMap exists.
func (c *Controller) configEvent(object cluster.ObjectRef, reason, prefix string, lines []string) {
	if exists(object) {
		c.Writer.Event(cluster.Event{Object: object, Warning: true, Reason: reason, Message: prefix + enumerate(lines, maxEvent-len(prefix))})
	}
}

// maxObjects is the maximum number of objects that get an Event when a set of objects is rejected.
const maxObjects = 20

// objectEvents sends one Event for each object with a problem in a rejected set. The Event lists all problems of the
// object.
func (c *Controller) objectEvents(list []cluster.ObjectProblem, prefix string) {
	lines := make(map[cluster.ObjectRef][]string)
	var objects []cluster.ObjectRef
	for _, p := range list {
		if lines[p.Object] == nil {
			objects = append(objects, p.Object)
		}
		lines[p.Object] = append(lines[p.Object], p.Message)
	}
	for _, object := range objects[:min(len(objects), maxObjects)] {
		c.Writer.Event(cluster.Event{
			Object: object, Warning: true, Reason: configRejected,
			Message: prefix + enumerate(lines[object], maxEvent-len(prefix)),
		})
	}
}

// problems returns all problems that an error of the configuration lists.
func problems(err error) []string {
	list, ok := errors.AsType[*config.Problems](err)
	if !ok {
		return []string{err.Error()}
	}
	lines := make([]string, len(list.List))
	for i, p := range list.List {
		lines[i] = p.String()
	}
	return lines
}

// enumerate joins the lines in at most size bytes: first as many complete lines as fit, then the number of the
// remaining lines. The first line is always present, cut if necessary.
func enumerate(lines []string, size int) string {
	const between = "; "
	text := strings.Join(lines, between)
	if len(text) <= size {
		return text
	}
	whole := size - len("; and 1000000 more")
	shown, length := 1, len(lines[0])
	for shown < len(lines) && length+len(between)+len(lines[shown]) <= whole {
		length += len(between) + len(lines[shown])
		shown++
	}
	text = allocator.Shorten(strings.Join(lines[:shown], between), whole)
	if shown < len(lines) {
		text += fmt.Sprintf("; and %d more", len(lines)-shown)
	}
	return text
}
