package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/lanlord/lanlord/e2e/lab"
)

// TestStrangerComesFirst has a host that took an address of the pool before any Service got it. The Service gets another one,
// the address rests in quarantine, and both are told of.
func TestStrangerComesFirst(t *testing.T) {
	l := lab.Open(t)
	free := l.FreeAddresses(lab.IPv4, 2)
	in := install(t, l, free...)
	in.deployBeside("web")
	stranger := l.StartStranger()
	stranger.Take(free[0])
	if seen := in.Who(free[0]); !slices.Equal(seen.MACs(), []string{stranger.MAC}) {
		t.Fatalf("%s, want the stranger %s", seen, stranger.MAC)
	}
	watch := in.StartWatch(free[0], 5*time.Second)
	exposed := time.Now()
	in.expose("web", "web", withEcho(nil))
	in.waitForAddresses("web", free[1])
	t.Logf("given another address %v after the Service was made", time.Since(exposed).Round(time.Millisecond))
	in.owner(free[1])
	in.meetAllPods(free[1], "web")
	t.Logf("in service after %v", time.Since(exposed).Round(10*time.Millisecond))
	in.waitForEvent(in.namespace, "Service", "web", "AddressConflict", free[0].String(), stranger.MAC)
	in.waitForEvent(in.namespace, "Service", "web", "Withdrawn", free[0].String(), "quarantine", stranger.MAC)
	if seen := watch.Wait(); !slices.Equal(seen.MACs(), []string{stranger.MAC}) {
		t.Errorf("%s; no node may answer for an address that the stranger had first", seen)
	}
	// Who asks for the address itself is told why it cannot be had.
	in.expose("web", "late", func(s *corev1.Service) { s.Spec.LoadBalancerIP = free[0].String() })
	in.waitForEvent(in.namespace, "Service", "late", "AddressTaken", free[0].String(), stranger.MAC)
	// The speakers look again every 30 s.
	stranger.Leave(free[0])
	took := in.waitForAddresses("late", free[0])
	t.Logf("the address was given %v after the stranger had left it", took.Round(100*time.Millisecond))
	in.meetAllPods(free[0], "web")
}

// TestStrangerComesLater has a host that takes the address of a Service. It is defended, and the Service tells of it.
func TestStrangerComesLater(t *testing.T) {
	in, addr, owner := exposed(t, lab.IPv4)
	stranger := in.StartStranger()
	load := in.startLoad([]netip.Addr{addr})
	began := time.Now()
	stranger.Take(addr)
	stranger.Claim(addr)
	took := in.waitForConflict(corev1.ConditionTrue)
	t.Logf("the condition told of it after %v", took.Round(10*time.Millisecond))
	in.waitForEvent(in.namespace, "Service", "web", "AddressConflict", addr.String(), stranger.MAC)
	// Requests are answered again as soon as the owner has defended the address.
	in.WaitFor("the owner to be reached again", patience, func(context.Context) error {
		if n := in.speakerMetric(owner, "lanlord_speaker_defences_total"); n < 1 {
			return fmt.Errorf("%v defences", n)
		}
		_, err := in.Get(lab.URL(addr, 80))
		return err
	})
	t.Logf("defended after %v", time.Since(began).Round(10*time.Millisecond))
	load.stop()
	if longest := load.longest(); longest == 0 || longest > 5*time.Second {
		t.Errorf("requests went astray for %v; want a while, and no longer than until the first defence", longest)
	}
	// Both answer who asks everybody. The owner never gives in.
	if macs := in.Who(addr).MACs(); !slices.Contains(macs, owner.MAC) {
		t.Errorf("%v answer, and not %s of %s", macs, owner.MAC, owner.Name)
	}
	in.waitForAddresses("web", addr)

	stranger.Leave(addr)
	took = in.waitForConflict("")
	t.Logf("the condition was gone %v after the stranger", took.Round(time.Second))
	in.waitForEvent(in.namespace, "Service", "web", "AddressConflictOver")
	if got := in.owner(addr); got != owner {
		t.Errorf("%s answers, want %s", got.Name, owner.Name)
	}
	in.meetAllPods(addr, "web")
}

// waitForConflict waits until the condition that tells of strangers has this status, or is not there.
func (in *installation) waitForConflict(want corev1.ConditionStatus) time.Duration {
	in.t.Helper()
	return in.WaitFor(fmt.Sprintf("the condition lanlord.io/AddressConflict to be %q", want), patience, func(ctx context.Context) error {
		s, err := in.service(ctx, "web")
		if err != nil {
			return err
		}
		var is corev1.ConditionStatus
		for _, c := range s.Status.Conditions {
			if c.Type == "lanlord.io/AddressConflict" {
				is = corev1.ConditionStatus(c.Status)
			}
		}
		if is != want {
			return fmt.Errorf("it is %q: %+v", is, s.Status.Conditions)
		}
		return nil
	})
}
