package kube

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unique"

	"github.com/lanlord/lanlord/pkg/cluster"
	reasons "github.com/lanlord/lanlord/pkg/reason"
)

// AssignmentAnnotation holds the record of an assignment (cluster.Assignment) as JSON. The controller writes the
// annotation together with the status. Users may read the annotation; the controller overwrites changes by others.
const AssignmentAnnotation = "lanlord.io/assignment"

// assignmentFormat is the version of the JSON. A reader ignores a record of another version.
const assignmentFormat = 1

// maxAssignment is the greatest length of a record that is read, in bytes: the limit for all annotations of an object
// together.
const maxAssignment = 256 << 10

// These types are the JSON of a record. Ports look like "TCP/80"; families, reasons and policies are the names of their
// types' values.
type (
	recordJSON struct {
		Format      int            `json:"format"`
		Addresses   []addressJSON  `json:"addresses,omitempty"`
		Sharing     *sharingJSON   `json:"sharing,omitempty"`
		Problems    []problemJSON  `json:"problems,omitempty"`
		IgnoredNode string         `json:"ignoredNode,omitempty"`
		Conflicts   []conflictJSON `json:"conflicts,omitempty"`
		Former      []string       `json:"former,omitempty"`
	}
	addressJSON struct {
		Address string `json:"address"`
		Pool    string `json:"pool"`
	}
	sharingJSON struct {
		Key      string   `json:"key"`
		Ports    []string `json:"ports,omitempty"`
		Policy   string   `json:"externalTrafficPolicy"`
		Selector string   `json:"selector,omitempty"`
	}
	problemJSON struct {
		Reason   string   `json:"reason"`
		Family   string   `json:"family,omitempty"`
		Address  string   `json:"address,omitempty"`
		Pool     string   `json:"pool,omitempty"`
		By       string   `json:"by,omitempty"`
		Unshared string   `json:"unshared,omitempty"`
		Full     []string `json:"full,omitempty"`
	}
	conflictJSON struct {
		Address string   `json:"address"`
		MACs    []string `json:"macs,omitempty"`
		Claims  []string `json:"claims,omitempty"`
	}
)

// FormatAssignment returns a record as the text of the annotation.
func FormatAssignment(a *cluster.Assignment) (string, error) {
	r := recordJSON{Format: assignmentFormat, IgnoredNode: a.IgnoredNode}
	for _, x := range a.Addresses {
		r.Addresses = append(r.Addresses, addressJSON{x.Addr.String(), x.Pool})
	}
	if s := a.Sharing; s.Key != "" {
		r.Sharing = &sharingJSON{Key: s.Key, Policy: s.TrafficPolicy.String(), Selector: s.Selector}
		for _, p := range s.Ports {
			r.Sharing.Ports = append(r.Sharing.Ports, p.Protocol.String()+"/"+strconv.Itoa(int(p.Number)))
		}
	}
	for _, p := range a.Problems {
		problem := problemJSON{Reason: p.Reason.String(), Pool: p.Pool, By: p.By, Full: p.Full}
		if p.Family != 0 {
			problem.Family = p.Family.String()
		}
		if p.Unshared != reasons.NotMeant {
			problem.Unshared = p.Unshared.String()
		}
		if p.Addr.IsValid() {
			problem.Address = p.Addr.String()
		}
		r.Problems = append(r.Problems, problem)
	}
	for _, c := range a.Conflicts {
		r.Conflicts = append(r.Conflicts, conflictJSON{c.Addr.String(), c.MACs, c.Claims})
	}
	for _, addr := range a.Former {
		r.Former = append(r.Former, addr.String())
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(r); err != nil {
		return "", fmt.Errorf("format the record: %w", err)
	}
	return strings.TrimSuffix(text.String(), "\n"), nil
}

// ParseAssignment reads a record. It accepts only the exact output of FormatAssignment, so that a record with a manual
// change is ignored as a whole.
func ParseAssignment(text string) (*cluster.Assignment, error) {
	if len(text) > maxAssignment {
		return nil, fmt.Errorf("the record has %d bytes, and more than %d are not read", len(text), maxAssignment)
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	var r recordJSON
	if err := decoder.Decode(&r); err != nil {
		return nil, fmt.Errorf("the record is not the expected JSON: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is text after the record")
	}
	if r.Format != assignmentFormat {
		return nil, fmt.Errorf("format %d is not known", r.Format)
	}
	a, err := r.assignment()
	if err != nil {
		return nil, err
	}
	if again, err := FormatAssignment(a); err != nil || again != text {
		return nil, errors.New("the record is not written as the controller writes it")
	}
	return a, nil
}

func (r *recordJSON) assignment() (*cluster.Assignment, error) {
	a := &cluster.Assignment{IgnoredNode: r.IgnoredNode}
	for _, x := range r.Addresses {
		addr, err := recordedAddr(x.Address)
		if err != nil {
			return nil, fmt.Errorf("addresses: %w", err)
		}
		if x.Pool == "" || a.Has(addr) {
			return nil, fmt.Errorf("addresses: %s has no pool or is listed twice", addr)
		}
		a.Addresses = append(a.Addresses, cluster.AssignedAddress{Addr: addr, Pool: unique.Make(x.Pool).Value()})
	}
	if r.Sharing != nil {
		var err error
		if a.Sharing, err = r.Sharing.sharing(); err != nil {
			return nil, fmt.Errorf("sharing: %w", err)
		}
	}
	for _, x := range r.Problems {
		p, err := x.problem()
		if err != nil {
			return nil, fmt.Errorf("problems: %w", err)
		}
		a.Problems = append(a.Problems, p)
	}
	for _, x := range r.Conflicts {
		addr, err := recordedAddr(x.Address)
		if err != nil {
			return nil, fmt.Errorf("conflicts: %w", err)
		}
		if len(x.MACs)+len(x.Claims) == 0 || !a.Has(addr) {
			return nil, fmt.Errorf("conflicts: %s is not assigned, or has neither a MAC address nor a claim", addr)
		}
		a.Conflicts = append(a.Conflicts, cluster.Conflict{Addr: addr, MACs: x.MACs, Claims: x.Claims})
	}
	for _, text := range r.Former {
		addr, err := recordedAddr(text)
		if err != nil {
			return nil, fmt.Errorf("former: %w", err)
		}
		a.Former = append(a.Former, addr)
	}
	return a, nil
}

// recordedAddr reads an address that a Service can have.
func recordedAddr(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}, err
	}
	if addr.Zone() != "" || addr.Is4In6() {
		return netip.Addr{}, fmt.Errorf("%s has a zone or is an IPv4 address in IPv6", addr)
	}
	return addr, nil
}

func (x *sharingJSON) sharing() (cluster.Sharing, error) {
	s := cluster.Sharing{Key: x.Key, Selector: x.Selector}
	if x.Key == "" {
		return s, errors.New("the key is empty")
	}
	switch x.Policy {
	case cluster.TrafficCluster.String():
	case cluster.TrafficLocal.String():
		s.TrafficPolicy = cluster.TrafficLocal
	default:
		return s, fmt.Errorf("externalTrafficPolicy %q is not known", x.Policy)
	}
	for _, text := range x.Ports {
		p, err := recordedPort(text)
		if err != nil {
			return s, err
		}
		s.Ports = append(s.Ports, p)
	}
	if !slices.IsSortedFunc(s.Ports, cluster.Port.Compare) {
		return s, errors.New("the ports are not sorted")
	}
	return s, nil
}

func recordedPort(text string) (cluster.Port, error) {
	protocol, number, _ := strings.Cut(text, "/")
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return cluster.Port{}, fmt.Errorf("port %q: %w", text, err)
	}
	for _, p := range []cluster.Protocol{cluster.TCP, cluster.UDP, cluster.SCTP} {
		if p.String() == protocol {
			return cluster.Port{Protocol: p, Number: uint16(n)}, nil
		}
	}
	return cluster.Port{}, fmt.Errorf("port %q has an unknown protocol", text)
}

func (x *problemJSON) problem() (cluster.Problem, error) {
	p := cluster.Problem{Pool: x.Pool, By: x.By, Full: x.Full}
	var known bool
	if p.Reason, known = reasons.ParseAssignment(x.Reason); !known || p.Reason == reasons.Assigned {
		return p, fmt.Errorf("reason %q is not known", x.Reason)
	}
	switch x.Family {
	case "":
	case cluster.IPv4.String():
		p.Family = cluster.IPv4
	case cluster.IPv6.String():
		p.Family = cluster.IPv6
	default:
		return p, fmt.Errorf("family %q is not known", x.Family)
	}
	if x.Unshared != "" {
		if p.Unshared, known = reasons.ParseUnshared(x.Unshared); !known {
			return p, fmt.Errorf("unshared %q is not known", x.Unshared)
		}
	}
	if x.Address != "" {
		var err error
		if p.Addr, err = recordedAddr(x.Address); err != nil {
			return p, err
		}
	}
	return p, nil
}
