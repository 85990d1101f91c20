package privilege

import (
	"fmt"
	"net/netip"
	"testing"

	"k8s.io/client-go/kubernetes"
)

// gatewayKind is the kind of the Gateway API, as far as the controller reads it.
const gatewayKind = `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition",
"metadata":{"name":"gateways.gateway.networking.k8s.io","annotations":{"api-approved.kubernetes.io":"unapproved, for a test"}},
"spec":{"group":"gateway.networking.k8s.io","scope":"Namespaced","names":{"kind":"Gateway","listKind":"GatewayList","plural":"gateways","singular":"gateway"},
"versions":[{"name":"v1","served":true,"storage":true,
"schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}]}}`

// installGateways makes the API server know Gateways.
func installGateways(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	post(t, client, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", gatewayKind)
}

// createGateway makes a Gateway that asks for an address.
func createGateway(t *testing.T, client kubernetes.Interface, namespace string, addr netip.Addr) {
	t.Helper()
	post(t, client, "/apis/gateway.networking.k8s.io/v1/namespaces/"+namespace+"/gateways", fmt.Sprintf(
		`{"apiVersion":"gateway.networking.k8s.io/v1","kind":"Gateway","metadata":{"name":"public"},"spec":{"addresses":[{"value":%q}]}}`, addr))
}

// post creates an object of a kind that client-go does not know, once the API server knows that.
func post(t *testing.T, client kubernetes.Interface, path, text string) {
	t.Helper()
	var err error
	if !await(t, func() bool {
		err = client.Discovery().RESTClient().Post().AbsPath(path).SetHeader("Content-Type", "application/json").
			Body([]byte(text)).Do(t.Context()).Error()
		return err == nil
	}) {
		t.Fatal(err)
	}
}
