package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/lanlord/lanlord/pkg/config"
)

// maxPast is the largest number of past configurations. Each change of the addresses that Services may have needs one
// past configuration for its withdraw-delay.
const maxPast = 16

// past is a configuration that was in use before. Its addresses stay with their Services for a delay.
type past struct {
	*accepted
	// since is the time of the change to another configuration, in whole seconds.
	since time.Time
	delay time.Duration
}

func (p past) end() time.Time { return p.since.Add(p.delay) }

func (p past) same(o past) bool {
	return p.text == o.text && p.since.Equal(o.since) && p.delay == o.delay
}

// savedState holds the configurations in the ConfigMap lanlord-state.
type savedState struct {
	accepted *accepted
	past     []past
}

// withdrawals holds the past configurations with running delays, and the state that decides which of them count.
type withdrawals struct {
	// past lists the configurations with running delays, the newest first. effective combines the configuration in use
	// with past.
	past      []past
	effective *config.Config
	// base and shown are the configuration and the past from which effective was made.
	base  *config.Config
	shown []past
	// saved is the content of lanlord-state. savedRead is true once lanlord-state was read.
	saved     savedState
	savedRead bool
	// leads is true in the process that ends the delays. ended is the time of the last check in that process: a delay
	// that had ended at that time stays ended.
	leads bool
	ended time.Time
	// fresh is true until a controller other than this process has saved the configuration in use in lanlord-state.
	fresh bool
	// changed rings when past has changed.
	changed bell
}

// replaced updates past after inUse has replaced was, which is nil at the start.
func (c *configChoice) replaced(was *accepted) {
	saved := c.saved.accepted
	c.fresh = saved == nil || saved.text != c.inUse.text
	switch {
	case !c.fresh && !c.leads:
		// The leading controller has seen this configuration before this process.
		c.past = slices.Clone(c.saved.past)
	case was != nil:
		c.push(was)
	case saved != nil:
		c.past = slices.Clone(c.saved.past)
		if c.fresh {
			c.push(saved)
		}
	}
	c.review()
}

// readState takes over the past configurations of lanlord-state, and reports whether the effective configuration has
// changed. The leading controller writes lanlord-state; the other processes and the next leader follow.
func (c *configChoice) readState(row *stateRow) (changed bool) {
	first := !c.savedRead
	c.saved, c.savedRead = savedState{row.accepted, row.past}, true
	switch {
	case c.inUse == nil || row.accepted == nil:
		return false
	case row.accepted.text == c.inUse.text:
		c.past = slices.Clone(row.past)
		c.fresh = c.fresh && c.leads
	case first:
		// The configuration in use replaced the saved configuration a moment ago, or while no controller ran.
		c.past = slices.Clone(row.past)
		c.push(row.accepted)
	default:
		return false
	}
	return c.review()
}

// push adds was as the newest past configuration, if the change to the configuration in use has a delay.
func (c *configChoice) push(was *accepted) {
	delay := c.inUse.config.WithdrawDelayAfter(was.config)
	if delay == 0 {
		return
	}
	c.past = slices.DeleteFunc(c.past, func(p past) bool { return p.text == was.text })
	c.past = slices.Insert(c.past, 0, past{was, time.Now().UTC().Truncate(time.Second), delay})
	if len(c.past) > maxPast {
		c.log.Warn("too many changes of the configuration within a withdraw-delay; the delay of the first of them ends", "changes", len(c.past))
		c.past = c.past[:maxPast]
	}
}

// review drops the past configurations that no longer matter, and reports whether the effective configuration has
// changed.
func (c *configChoice) review() (changed bool) {
	inUse := c.inUse.config
	var kept []past
	for _, p := range c.past {
		if inUse.Allocation.WithdrawDelayGiven {
			p.delay = inUse.Allocation.WithdrawDelay
		}
		if p.delay > 0 && p.end().After(c.ended) && !inUse.Grants(p.config) {
			kept = append(kept, p)
		}
	}
	c.past = kept
	if c.effective != nil && c.effectiveOf(inUse) {
		return false
	}
	list := make([]config.Past, len(kept))
	for i, p := range kept {
		list[i] = config.Past{Config: p.config, Until: p.end()}
	}
	c.base, c.shown = inUse, kept
	if c.effective = inUse; len(list) > 0 {
		c.effective = inUse.WithPast(list)
	}
	c.changed.ring()
	return true
}

// effectiveOf reports whether effective was made from inUse and past. Readers compare pointers, so an equal
// configuration must keep its pointer.
func (c *configChoice) effectiveOf(inUse *config.Config) bool {
	return c.base == inUse && slices.EqualFunc(c.shown, c.past, past.same)
}

// EndDelays ends each withdraw-delay on time, until ctx ends, and then returns nil. Only the leading controller calls
// EndDelays. The other processes keep a past configuration until KeepState has removed the past configuration from
// lanlord-state.
func (s *Store) EndDelays(ctx context.Context) error {
	s.lead(true)
	defer s.lead(false)
	for ctx.Err() == nil {
		s.mu.Lock()
		changed, next := s.config.end(time.Now())
		if changed {
			s.keeping.ring()
		}
		s.mu.Unlock()
		s.moved(changed)
		wait := forever
		if !next.IsZero() {
			wait = time.Until(next)
		}
		s.config.changed.wait(ctx, wait)
	}
	return nil
}

// lead records whether this process writes lanlord-state.
func (s *Store) lead(leads bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &s.config
	c.leads = leads
	if saved := c.saved.accepted; !leads && saved != nil && c.inUse != nil {
		c.fresh = saved.text != c.inUse.text
	}
}

// end drops the past configurations whose delay has ended, and returns the end of the next delay, zero for none.
func (c *configChoice) end(now time.Time) (changed bool, next time.Time) {
	c.ended = now
	if c.inUse == nil {
		return false, time.Time{}
	}
	changed = c.review()
	for _, p := range c.past {
		if next.IsZero() || p.end().Before(next) {
			next = p.end()
		}
	}
	return changed, next
}

// pastText is a past configuration in lanlord-state.
type pastText struct {
	Config  string    `json:"config"`
	Version string    `json:"config-version"`
	Since   time.Time `json:"since"`
	Delay   string    `json:"delay"`
}

// parsePast reads the entry statePast. An empty text means none.
func parsePast(text string) ([]past, error) {
	if text == "" {
		return nil, nil
	}
	var texts []pastText
	if err := json.Unmarshal([]byte(text), &texts); err != nil {
		return nil, err
	}
	if len(texts) > maxPast {
		return nil, fmt.Errorf("there are %d past configurations, and at most %d are kept", len(texts), maxPast)
	}
	list := make([]past, 0, len(texts))
	for _, t := range texts {
		cfg, err := config.Parse([]byte(t.Config))
		if err != nil {
			return nil, fmt.Errorf("a past configuration: %w", err)
		}
		delay, err := time.ParseDuration(t.Delay)
		switch {
		case err != nil:
			return nil, fmt.Errorf("the delay of a past configuration: %w", err)
		case delay <= 0 || delay > 24*time.Hour:
			return nil, errors.New("the delay of a past configuration must be more than 0s and at most 24h, and is " + delay.String())
		}
		version, _ := strconv.ParseUint(t.Version, 10, 64)
		list = append(list, past{&accepted{cfg, t.Config, version}, t.Since.UTC(), delay})
	}
	return list, nil
}

// formatPast returns the entry statePast in at most size bytes, empty for none. left counts the oldest configurations,
// which did not fit.
func formatPast(list []past, size int) (text string, left int) {
	texts := make([]pastText, len(list))
	for i, p := range list {
		texts[i] = pastText{p.text, strconv.FormatUint(p.version, 10), p.since, p.delay.String()}
	}
	for n := len(list); n > 0; n-- {
		b, err := json.Marshal(texts[:n])
		if err == nil && len(b) <= size {
			return string(b), len(list) - n
		}
	}
	return "", len(list)
}
