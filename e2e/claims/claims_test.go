package claims

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	assigned = "lanlord.io/AddressAssigned"
	conflict = "lanlord.io/AddressConflict"

	pools = "address-pools:\n- {name: office, protocol: layer2, addresses: [10.99.1.10-10.99.1.29]}\n"
	none  = "address-pools: []\nallocation: {withdraw-all: true}\n"
)

// crd is the kind of the Gateway API, as far as the test needs it.
const crd = `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition",
"metadata":{"name":"gateways.gateway.networking.k8s.io","annotations":{"api-approved.kubernetes.io":"unapproved, for a test"}},
"spec":{"group":"gateway.networking.k8s.io","scope":"Namespaced","names":{"kind":"Gateway","listKind":"GatewayList","plural":"gateways","singular":"gateway"},
"versions":[{"name":"v1","served":true,"storage":true,"subresources":{"status":{}},
"schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}]}}`

const gateways = "/apis/gateway.networking.k8s.io/v1/namespaces/" + shop + "/gateways"

// TestAddressesOfOthers has every address of another object first before and then after a Service of Lanlord.
func TestAddressesOfOthers(t *testing.T) {
	r := newRig(t)
	r.foreign("before", "10.99.1.10")
	external := service("external", "")
	external.Spec.Type, external.Spec.ExternalIPs = corev1.ServiceTypeClusterIP, []string{"10.99.1.11"}
	r.put(external, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}})
	r.patch("nodes", "", "n1", `{"status":{"addresses":[{"type":"ExternalIP","address":"10.99.1.12"}]}}`, "status")
	r.configure(pools)
	r.start()

	r.put(service("any", ""), service("asks-status", "10.99.1.10"), service("asks-external", "10.99.1.11"), service("asks-node", "10.99.1.12"))
	r.expect("any", "10.99.1.13", assigned, "Assigned")
	for name, text := range map[string]string{
		"asks-status":   "10.99.1.10 is in the status of Service shop/before, which another controller serves",
		"asks-external": "10.99.1.11 is in spec.externalIPs of Service shop/external",
		"asks-node":     "10.99.1.12 is an ExternalIP of Node n1",
	} {
		r.expect(name, "", assigned, "AddressTaken: "+text)
		r.expectEvent(name, "AddressTaken", text)
	}

	// Now the others come second: nothing moves, and the Service tells of it.
	r.foreign("after", "10.99.1.13")
	r.expect("any", "10.99.1.13", conflict, "is in the status of Service shop/after")
	r.expectEvent("any", "AddressConflict", "is in the status of Service shop/after")
	r.patch("services", shop, "external", `{"spec":{"externalIPs":["10.99.1.13"]}}`, "")
	r.expect("any", "10.99.1.13", conflict, "is in spec.externalIPs of Service shop/external")
	r.expect("asks-external", "10.99.1.11", assigned, "Assigned")
	r.patch("nodes", "", "n1", `{"status":{"addresses":[{"type":"ExternalIP","address":"10.99.1.13"}]}}`, "status")
	r.expect("any", "10.99.1.13", conflict, "is an ExternalIP of Node n1")
	r.expect("asks-node", "10.99.1.12", assigned, "Assigned")
	r.delete("after")
	r.delete("external")
	r.patch("nodes", "", "n1", `{"status":{"addresses":[]}}`, "status")
	r.expect("any", "10.99.1.13", conflict, "")
	r.expectEvent("any", "AddressConflictOver", "no other object has the Service's addresses any longer")

	wishes := service("wishes", "")
	wishes.Spec.ExternalIPs = []string{"10.99.1.20"}
	r.put(wishes)
	r.expect("wishes", "10.99.1.20", assigned, "Assigned")
	r.expect("wishes", "10.99.1.20", conflict, "")
	checkGateways(r)
	r.stop()
}

// checkGateways installs the kind while the controller runs.
func checkGateways(r *rig) {
	generated := service("generated", "")
	generated.Labels = map[string]string{"gateway.networking.k8s.io/gateway-name": "public"}
	r.put(generated)
	r.expect("generated", "10.99.1.14", assigned, "Assigned")
	if err := r.raw("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd); err != nil {
		r.Fatal(err)
	}
	gateway := func(name, requests, shows string) {
		r.await("create the Gateway "+name, func() error {
			return r.raw("POST", gateways, fmt.Sprintf(`{"apiVersion":"gateway.networking.k8s.io/v1","kind":"Gateway","metadata":{"name":%q},
				"spec":{"gatewayClassName":"x","addresses":[{"type":"IPAddress","value":%q}]}}`, name, requests))
		})
		if err := r.raw("PATCH", gateways+"/"+name+"/status", fmt.Sprintf(`{"status":{"addresses":[{"value":%q}]}}`, shows)); err != nil {
			r.Fatal(err)
		}
	}
	gateway("public", "10.99.1.21", "10.99.1.21")
	r.expect("generated", "10.99.1.21", assigned, "Assigned")
	r.expect("generated", "10.99.1.21", conflict, "")
	gateway("elsewhere", "10.99.1.22", "10.99.1.22")
	// A watch shows changes in their order: when the controller has seen this one, it knows the Gateway elsewhere.
	if err := r.raw("PATCH", gateways+"/public", `{"spec":{"addresses":[{"value":"10.99.1.23"}]}}`); err != nil {
		r.Fatal(err)
	}
	r.expect("generated", "10.99.1.23", assigned, "Assigned")
	r.put(service("asks-gateway", "10.99.1.22"))
	r.expect("asks-gateway", "", assigned, "AddressTaken: 10.99.1.22 is in the status of Gateway shop/elsewhere")
}

// TestAddressStaysAfterWithdrawal takes the configuration away and brings it back, with a new process in between.
func TestAddressStaysAfterWithdrawal(t *testing.T) {
	r := newRig(t)
	r.configure(pools)
	r.start()
	// The second Service is older, and waits longer.
	r.put(service("older", ""), service("holder", "10.99.1.15"))
	r.expect("holder", "10.99.1.15", assigned, "Assigned")
	r.patch("services", shop, "older", `{"metadata":{"annotations":{"lanlord.io/load-balancer-ips":"10.99.1.15"}}}`, "")
	r.expect("older", "", assigned, "AddressInUse")
	r.configure(none)
	r.expect("holder", "", assigned, "AddressOutsidePools")
	r.expect("older", "", assigned, "AddressOutsidePools")
	r.stop()
	r.configure(pools)
	r.start()
	r.expect("holder", "10.99.1.15", assigned, "Assigned")
	r.expect("older", "", assigned, "AddressInUse: 10.99.1.15 is held by Service shop/holder")
	r.stop()
}
