package chapter

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
)

// answer is the page of command echo.
type answer struct{ Pod, Method, Path, Host, Client string }

// answers reads one answer after the other, each of which must be from one of the pods.
func answers(output string, pods map[string]string) ([]answer, error) {
	var all []answer
	for decoder := json.NewDecoder(strings.NewReader(output)); ; {
		var a answer
		if err := decoder.Decode(&a); err == io.EOF {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		if _, ok := pods[a.Pod]; !ok {
			return nil, fmt.Errorf("%q answered, which is none of the pods %v", a.Pod, pods)
		}
		all = append(all, a)
	}
}

// answered checks that so many answers came, from these pods.
func answered(pods map[string]string, want int) func(string) error {
	return func(output string) error {
		all, err := answers(output, pods)
		if err == nil && len(all) != want {
			err = fmt.Errorf("%d answers, want %d", len(all), want)
		}
		return err
	}
}

// allCounted checks that a count of answers by pod has each of these pods, and no other.
func allCounted(pods map[string]string) func(string) error {
	return func(output string) error {
		lines := strings.Count(output, "\n")
		for pod := range pods {
			if !strings.Contains(output, fmt.Sprintf(`"pod":"%s"`, pod)) {
				return fmt.Errorf("%s did not answer", pod)
			}
		}
		if lines != len(pods) {
			return fmt.Errorf("%d pods answered, want %d", lines, len(pods))
		}
		return nil
	}
}

// checkInRange checks that an address is one of the ConfigMap's.
func (r *reader) checkInRange(addr string) {
	r.t.Helper()
	if !slices.Contains(r.addresses, r.address(addr)) {
		r.t.Errorf("%s is none of %v", addr, r.addresses)
	}
}

// address reads an address that a command printed.
func (r *reader) address(text string) netip.Addr {
	r.t.Helper()
	a, err := netip.ParseAddr(strings.TrimSpace(text))
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}
