package soak

import (
	"context"
	"errors"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lanlord/lanlord/e2e/wire"
)

const systemNamespace = "lanlord-system"

// server is the API server of a soak.
type server struct{ wire.Scripted }

// nodeLabel is the label that a node needs for addresses of the pool for those who ask.
const nodeLabel = "soak.example.com/asked"

// askedPool has the addresses that are only given to those who ask, and that only some nodes may announce.
var askedPool = netip.MustParsePrefix("10.99.200.0/24")

// configuration is the ConfigMap's text: a pool for all, one for those who ask, and what else there may be.
func configuration(pools, layer2 string) string {
	return `address-pools:
- {name: main, protocol: layer2, addresses: [10.99.128.0/18, "fd00:99::1:0/112"]}
- {name: asked, protocol: layer2, addresses: [10.99.200.0/24], auto-assign: false,
   node-selectors: [{match-labels: {` + nodeLabel + `: "yes"}}]}
` + pools + "layer2: {ping: false" + layer2 + "}\n"
}

// configure writes the ConfigMap.
func (s *server) configure(text string) error {
	return s.Server.Put(&corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: "config"}, Data: map[string]string{"config": text},
	})
}

// edits are configurations that take no address from anybody, and broken ones that change nothing at all.
var (
	edits = []string{
		configuration("", ", failback: 5s"),
		configuration("", ", rate: 200, refresh: 5s"),
		configuration("- {name: spare, protocol: layer2, addresses: [10.99.240.0/24], auto-assign: false}\n", ""),
		configuration("- {name: spare, protocol: layer2, addresses: [10.99.240.0/24], exclude: [10.99.240.7], priority: 5, auto-assign: false}\n", ", failback: never"),
	}
	breakages = []string{
		"address-pools: [",
		strings.ReplaceAll(configuration("", ""), "10.99.200.0/24", "10.99.200.0/99"),
		strings.ReplaceAll(configuration("", ""), "auto-assign", "auto-asign"),
		configuration("- {name: twice, protocol: layer2, addresses: [10.99.128.0/18]}\n", ""),
	}
)

// keys changes the entries of the gossip Secret.
func (s *server) keys(_ context.Context, change func(map[string][]byte)) error {
	found, err := s.Server.Edit("secrets", types.NamespacedName{Namespace: systemNamespace, Name: "lanlord-gossip"}, func(o runtime.Object) {
		change(o.(*corev1.Secret).Data)
	})
	if err == nil && !found {
		err = errors.New("there is no gossip Secret")
	}
	return err
}
