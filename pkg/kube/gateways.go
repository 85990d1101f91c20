package kube

import (
	"net/netip"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// gatewayVersion is the version of the Gateway API that the Store reads.
var gatewayVersion = schema.GroupVersion{Group: "gateway.networking.k8s.io", Version: "v1"}

var gateways = resource[gateway, *gateway, gatewayList](gatewayVersion, "Gateway", "gateways")

// gateway is a Gateway of the Gateway API with the fields that Lanlord uses.
type gateway struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   gatewayAddresses `json:"spec,omitzero"`
	Status gatewayAddresses `json:"status,omitzero"`
}

// gatewayAddresses is the part of the spec, and of the status, that Lanlord uses.
type gatewayAddresses struct {
	Addresses []gatewayAddress `json:"addresses,omitempty"`
}

type gatewayAddress struct {
	// Type is "IPAddress", the default, "Hostname", or a name with a domain prefix.
	Type  string `json:"type,omitempty"`
	Value string `json:"value,omitempty"`
}

// DeepCopyObject implements [runtime.Object].
func (g *gateway) DeepCopyObject() runtime.Object {
	c := &gateway{TypeMeta: g.TypeMeta, Spec: g.Spec.copied(), Status: g.Status.copied()}
	g.ObjectMeta.DeepCopyInto(&c.ObjectMeta)
	return c
}

func (g gatewayAddresses) copied() gatewayAddresses {
	return gatewayAddresses{Addresses: slices.Clone(g.Addresses)}
}

// texts returns the values of type IPAddress.
func (g gatewayAddresses) texts() (texts []string) {
	for _, a := range g.Addresses {
		if a.Type == "" || a.Type == "IPAddress" {
			texts = append(texts, a.Value)
		}
	}
	return texts
}

type gatewayList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []gateway `json:"items"`
}

// DeepCopyObject implements [runtime.Object].
func (l *gatewayList) DeepCopyObject() runtime.Object {
	c := &gatewayList{TypeMeta: l.TypeMeta, Items: copied(l.Items)}
	l.ListMeta.DeepCopyInto(&c.ListMeta)
	return c
}

// gatewayRow holds the parts of a Gateway that the Store keeps.
type gatewayRow struct {
	// requested lists the addresses in the spec, and claims the addresses in the status.
	requested []netip.Addr
	claims    []cluster.Claim
}

func convertGateway(o *gateway) gatewayRow {
	row := gatewayRow{requested: hostAddresses(o.Spec.texts())}
	for _, addr := range hostAddresses(o.Status.texts()) {
		row.claims = append(row.claims, cluster.Claim{
			Addr: addr, By: cluster.ClaimedByGateway, Holder: cluster.Key{Namespace: o.Namespace, Name: o.Name},
		})
	}
	return row
}

// gatewayChanged takes over a row of the table. The caller holds Store.mu.
func (s *Store) gatewayChanged(key cluster.Key, _ string, old, row *gatewayRow) (wake bool) {
	var was, is gatewayRow
	if old != nil {
		was = *old
	}
	if row != nil {
		is = *row
	}
	if !slices.Equal(was.claims, is.claims) {
		s.dirtyClaims, wake = true, true
	}
	if slices.Equal(was.requested, is.requested) {
		return wake
	}
	for service := range s.services.rows {
		if r := s.row(service); r != nil && r.service.Gateway == key {
			s.replace(service, r)
			wake = true
		}
	}
	return wake
}
