package controller

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

// TestWithdrawDelayLaw changes the configuration of random clusters without open work. With a delay, no Service loses
// an address, and no Service gets an address of another Service. After the delay, the addresses are the same as without
// a delay.
func TestWithdrawDelayLaw(t *testing.T) {
	kept := 0
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 23))
		s, _ := randomSnapshot(t, random)
		slices.SortFunc(s.Services, func(x, y *cluster.Service) int { return x.Key.Compare(y.Key) })
		rest := func() {
			s.Services = slices.Clone(s.Services)
			for range previewRounds + 1 {
				for _, u := range Decide(s, nil).Updates {
					i, _ := slices.BinarySearchFunc(s.Services, u.Key, func(s *cluster.Service, k cluster.Key) int { return s.Key.Compare(k) })
					s.Services[i] = written(s.Services[i], u)
				}
			}
		}
		if len(s.Config.Pools) == 0 {
			continue // without a pool, addresses that the controller never wrote stay in every status
		}
		rest()
		was, before := s.Config, s.Services
		next, err := config.Parse([]byte(documents[random.IntN(validDocuments)]))
		if err != nil {
			t.Fatal(err)
		}
		s.Config = next.WithPast([]config.Past{{Config: was, Until: time.Unix(1000, 0)}})
		first := Decide(s, nil)
		rest()
		for i, svc := range s.Services {
			for _, addr := range before[i].Ingress {
				if svc.Managed && before[i].Assignment.Has(addr) && !slices.Contains(svc.Ingress, addr) {
					t.Fatalf("seed %d: %s loses %s within the delay: %v\n%s", seed, svc.Key, addr, svc.Condition, first.text())
				}
			}
		}
		kept += len(first.Withdrawals.Staying)
		if first.Withdrawals.Untold != len(first.Withdrawals.Staying) || Decide(s, nil).Withdrawals.Untold != 0 {
			t.Fatalf("seed %d: %+v", seed, first.Withdrawals)
		}
		s.Config = next
		rest()
		for _, svc := range s.Services {
			if svc.Managed && toldToStay(svc) {
				t.Fatalf("seed %d: %s is told of a delay that is over", seed, svc.Key)
			}
		}
		if plan := Decide(s, nil); len(plan.Withdrawals.Staying)+len(plan.Withdrawals.Losing) > 0 {
			t.Fatalf("seed %d: %+v once all is written", seed, plan.Withdrawals)
		}
	}
	if kept < 50 {
		t.Errorf("a delay mattered to %d Services", kept)
	}
}

// TestReportWithdrawals checks the Events on the ConfigMap about a change with a delay: one Event at the beginning,
// even after a restart of the controller, and one Event after the withdrawal of all addresses, even if a write fails.
func TestReportWithdrawals(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeAPI) {
		for _, name := range []string{"a", "b", "c"} {
			f.apply(name, nil)
		}
		f.deliver()
		_, stop := start(t, f)
		f.took()
		was := f.cfg
		f.configure(strings.Replace(threeAddresses, "[192.168.1.10-", "[192.168.1.12-", 1))
		next := f.cfg
		f.cfg = next.WithPast([]config.Past{{Config: was, Until: time.Now().Add(time.Hour)}})
		f.deliver()
		synctest.Wait()
		onConfig := func() (lines []string) {
			for line := range strings.Lines(f.took()) {
				if strings.HasPrefix(line, "config ") {
					lines = append(lines, strings.TrimSpace(line))
				}
			}
			return lines
		}
		expect(t, "after the change", strings.Join(onConfig(), "\n"), `
config ConfigAccepted: in use, with 1 pool of 1 IPv4 and 0 IPv6 addresses: pool "office" with 192.168.1.12
config WithdrawalDelayed: 2 Services have an address that the configuration no longer gives; the first address is withdrawn at `+
			`2000-01-01T01:00:00Z, and a configuration that gives the addresses again cancels that: default/a; default/b`)
		stop()
		c, _ := start(t, f)
		c.Wake()
		synctest.Wait()
		if got := onConfig(); len(got) > 0 {
			t.Errorf("a restart tells %q", got)
		}

		f.breakWrites(func(u cluster.Update) fault {
			if u.Key.Name == "b" {
				return fails
			}
			return works
		})
		f.cfg = next
		f.deliver()
		synctest.Wait()
		if got := onConfig(); len(got) > 0 {
			t.Errorf("before all is withdrawn: %q", got)
		}
		f.breakWrites(func(cluster.Update) fault { return works })
		time.Sleep(time.Minute)
		synctest.Wait()
		expect(t, "after the delay", strings.Join(onConfig(), "\n"), `
config AddressesWithdrawn: 2 Services have lost an address that the configuration no longer gives: default/a; default/b`)
	})
}
