package controller

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/lanlord/lanlord/pkg/allocator"
	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/reason"
)

const (
	// withdrawalDelayed is the reason of the Events about addresses that stay for a withdraw-delay. withdrawalCancelled
	// is the reason of the Event when the configuration contains these addresses again.
	withdrawalDelayed   = "WithdrawalDelayed"
	withdrawalCancelled = "WithdrawalCancelled"
	// addressesWithdrawn is the reason of the Event on the ConfigMap after Services have lost addresses.
	addressesWithdrawn = "AddressesWithdrawn"
)

// delayMark ends the text of a condition about an address that stays for a withdraw-delay. The mark shows that the
// Service was informed of the delay.
const delayMark = " (withdraw-delay)"

// staying describes the addresses of a Service during a withdraw-delay, for the condition and the Events.
type staying struct {
	text  string
	until time.Time
}

// stayingOf returns the description of the assignments, or the zero value if no address stays only for a
// withdraw-delay.
func stayingOf(assignments []allocator.Assignment) (s staying) {
	var addrs []string
	for _, a := range assignments {
		if !a.Until.IsZero() {
			addrs = append(addrs, a.Addr.String())
			if s.until.IsZero() || a.Until.Before(s.until) {
				s.until = a.Until
			}
		}
	}
	if len(addrs) > 0 {
		s.text = fmt.Sprintf("the configuration no longer gives %s to the Service, so the Service keeps it until %s%s",
			strings.Join(addrs, " and "), s.until.UTC().Format(time.RFC3339), delayMark)
	}
	return s
}

// toldToStay reports whether the condition of svc says that an address stays for a withdraw-delay.
func toldToStay(svc *cluster.Service) bool {
	return svc.Condition != nil && strings.Contains(svc.Condition.Message, delayMark)
}

// tellStaying appends the Event about a withdraw-delay that begins, changes or is cancelled.
func tellStaying(events []cluster.Event, svc *cluster.Service, s staying, r allocator.Result) []cluster.Event {
	switch told := toldToStay(svc); {
	case s.text != "" && !(told && strings.Contains(svc.Condition.Message, s.text)):
		return append(events, event(svc, true, withdrawalDelayed, s.text+
			"; a configuration that gives the address to the Service again cancels that"))
	case s.text == "" && told && keepsAll(svc, r):
		return append(events, event(svc, false, withdrawalCancelled, "the configuration gives the Service its address again"))
	}
	return events
}

// keepsAll reports whether svc has addresses in its status and keeps all of them.
func keepsAll(svc *cluster.Service, r allocator.Result) bool {
	for _, addr := range svc.Ingress {
		if !slices.ContainsFunc(r.Assignments, func(a allocator.Assignment) bool { return a.Addr == addr }) {
			return false
		}
	}
	return len(svc.Ingress) > 0
}

// configTakes reports whether a Service loses an address because of the configuration.
func configTakes(r reason.Assignment) bool {
	switch r {
	case reason.AddressOutsidePools, reason.AddressExcluded, reason.AddressReserved, reason.PoolNotAllowed:
		return true
	}
	return false
}

// Withdrawals lists the Services that lose addresses because of the configuration. The Keys are in no order.
type Withdrawals struct {
	// Staying lists the Services that keep an address only for a withdraw-delay. Until is the first end of a delay.
	// Untold counts the Services in Staying with a condition that does not mention the delay yet.
	Staying []cluster.Key
	Until   time.Time
	Untold  int
	// Losing lists the Services that lose an address in this plan.
	Losing []cluster.Key
}

// note adds a Service of a plan.
func (w *Withdrawals) note(c *claim, s staying) {
	if s.text != "" {
		w.Staying = append(w.Staying, c.svc.Key)
		if w.Until.IsZero() || s.until.Before(w.Until) {
			w.Until = s.until
		}
		if !toldToStay(c.svc) {
			w.Untold++
		}
	}
	if slices.ContainsFunc(c.lost, func(l loss) bool { return configTakes(l.why.Reason) && vouches(c.svc, l.addr) }) {
		w.Losing = append(w.Losing, c.svc.Key)
	}
}

// withdrawalLog tracks the Services that lose addresses because of the configuration, for the Events on the ConfigMap.
type withdrawalLog struct {
	// losing holds the Services that lose an address in the last plan. lost holds the Services that have lost an
	// address since the last Event.
	losing, lost map[cluster.Key]struct{}
}

// wrote records a successful write.
func (l *withdrawalLog) wrote(key cluster.Key) {
	if _, is := l.losing[key]; is {
		delete(l.losing, key)
		l.lost[key] = struct{}{}
	}
}

// reportWithdrawals sends Events on the ConfigMap about the Services that lose addresses because of the configuration:
// one Event while the addresses stay for a delay, and one Event after the loss.
func (c *Controller) reportWithdrawals(snapshot cluster.Snapshot, plan *Plan) {
	w := &plan.Withdrawals
	object := snapshot.ConfigState.Object
	if hash := snapshot.Versions.Config.Hash; w.Untold > 0 && (hash == 0 || hash != c.delayed) {
		c.delayed = hash
		prefix := fmt.Sprintf("%s an address that the configuration no longer gives; the first address is withdrawn at %s, "+
			"and a configuration that gives the addresses again cancels that: ", countServices(len(w.Staying), "has", "have"),
			w.Until.UTC().Format(time.RFC3339))
		c.Log.Warn("addresses stay for a withdraw-delay", "services", len(w.Staying), "until", w.Until.UTC())
		c.configEvent(object, withdrawalDelayed, prefix, names(w.Staying))
	}
	if len(w.Staying) == 0 {
		c.delayed = 0
	}
	if len(w.Losing) == 0 && len(c.withdrawals.lost) > 0 {
		keys := slices.Collect(maps.Keys(c.withdrawals.lost))
		c.Log.Warn("the configuration took addresses from Services", "services", len(keys))
		c.configEvent(object, addressesWithdrawn, countServices(len(keys), "has", "have")+
			" lost an address that the configuration no longer gives: ", names(keys))
		c.withdrawals.lost = map[cluster.Key]struct{}{}
	}
	c.withdrawals.losing = make(map[cluster.Key]struct{}, len(w.Losing))
	for _, key := range w.Losing {
		c.withdrawals.losing[key] = struct{}{}
	}
}

// countServices returns "1 Service has" or "2 Services have".
func countServices(n int, one, many string) string {
	if n == 1 {
		return "1 Service " + one
	}
	return fmt.Sprintf("%d Services %s", n, many)
}

func names(keys []cluster.Key) []string {
	slices.SortFunc(keys, cluster.Key.Compare)
	texts := make([]string, len(keys))
	for i, key := range keys {
		texts[i] = key.String()
	}
	return texts
}
