package privilege

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/lanlord/lanlord/e2e/controlplane"
)

const (
	// manifest installs Lanlord. gatewayRights adds the rights of a controller with --gateways.
	manifest      = "../../deploy/install.yaml"
	gatewayRights = "../../deploy/gateways/rbac.yaml"
	// overlay installs Lanlord with MetalLB's resources as its configuration.
	overlay = "../../deploy/metallb-crs"
)

// right is one verb on one resource, the least that can be taken away.
type right struct {
	// cluster is true for one of a ClusterRole.
	cluster                     bool
	group, resource, name, verb string
}

func (r right) String() string {
	text := r.verb + " " + r.resource
	if r.name != "" {
		text += " " + r.name
	}
	return text
}

// denial is what the API server says of it when it is missing.
func (r right) denial() string { return fmt.Sprintf("cannot %s resource %q", r.verb, r.resource) }

func (r right) rule() rbacv1.PolicyRule {
	rule := rbacv1.PolicyRule{APIGroups: []string{r.group}, Resources: []string{r.resource}, Verbs: []string{r.verb}}
	if r.name != "" {
		rule.ResourceNames = []string{r.name}
	}
	return rule
}

// rights returns all that the manifest gives to a component.
func rights(t *testing.T, component string) []right {
	t.Helper()
	var text []byte
	for _, file := range []string{manifest, gatewayRights} {
		more, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text = append(append(text, "\n---\n"...), more...)
	}
	return rightsIn(t, text, component, "lanlord-"+component, "lanlord-"+component+"-gateways")
}

// metallbRights returns all that the overlay gives to a component, and which of these the manifest does not give.
func metallbRights(t *testing.T, component string) (all, more []right) {
	t.Helper()
	all = rightsIn(t, controlplane.Kustomize(t, overlay), component, "lanlord-"+component, "lanlord-metallb-"+component)
	without := rights(t, component)
	for _, r := range all {
		if !slices.Contains(without, r) {
			more = append(more, r)
		}
	}
	return all, more
}

// rightsIn returns all that the Roles and ClusterRoles with these names give.
func rightsIn(t *testing.T, text []byte, component string, names ...string) []right {
	t.Helper()
	var all []right
	add := func(cluster bool, rules []rbacv1.PolicyRule) {
		for _, rule := range rules {
			names := rule.ResourceNames
			if len(names) == 0 {
				names = []string{""}
			}
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					for _, name := range names {
						for _, verb := range rule.Verbs {
							all = append(all, right{cluster, group, resource, name, verb})
						}
					}
				}
			}
		}
	}
	for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
		if len(bytes.TrimSpace(document)) == 0 {
			continue
		}
		object, _, err := scheme.Codecs.UniversalDeserializer().Decode(document, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		switch o := object.(type) {
		case *rbacv1.ClusterRole:
			if slices.Contains(names, o.Name) {
				add(true, o.Rules)
			}
		case *rbacv1.Role:
			if slices.Contains(names, o.Name) {
				add(false, o.Rules)
			}
		}
	}
	if len(all) == 0 {
		t.Fatalf("%v give no rights to %s", names, component)
	}
	return all
}

// grant makes a namespace with a ServiceAccount that has these rights.
func grant(t *testing.T, client kubernetes.Interface, namespace string, have []right) {
	t.Helper()
	ctx := t.Context()
	var clusterRules, rules []rbacv1.PolicyRule
	for _, r := range have {
		if r.cluster {
			clusterRules = append(clusterRules, r.rule())
		} else {
			rules = append(rules, r.rule())
		}
	}
	meta := metav1.ObjectMeta{Namespace: namespace, Name: namespace}
	global := metav1.ObjectMeta{Name: namespace}
	subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: namespace}}
	ref := func(kind string) rbacv1.RoleRef {
		return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: namespace}
	}
	core, rbac := client.CoreV1(), client.RbacV1()
	for _, make := range []func() error{
		func() error {
			_, err := core.Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: global}, metav1.CreateOptions{})
			return err
		},
		func() error {
			_, err := core.ServiceAccounts(namespace).Create(ctx, &corev1.ServiceAccount{ObjectMeta: meta}, metav1.CreateOptions{})
			return err
		},
		func() error {
			_, err := rbac.ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: global, Rules: clusterRules}, metav1.CreateOptions{})
			return err
		},
		func() error {
			_, err := rbac.ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
				ObjectMeta: global, RoleRef: ref("ClusterRole"), Subjects: subjects}, metav1.CreateOptions{})
			return err
		},
		func() error {
			_, err := rbac.Roles(namespace).Create(ctx, &rbacv1.Role{ObjectMeta: meta, Rules: rules}, metav1.CreateOptions{})
			return err
		},
		func() error {
			_, err := rbac.RoleBindings(namespace).Create(ctx, &rbacv1.RoleBinding{
				ObjectMeta: meta, RoleRef: ref("Role"), Subjects: subjects}, metav1.CreateOptions{})
			return err
		},
	} {
		if err := make(); err != nil {
			t.Fatal(err)
		}
	}
}

// without returns all rights but the i-th.
func without(all []right, i int) []right { return slices.Delete(slices.Clone(all), i, i+1) }
