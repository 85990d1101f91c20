package chapter

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanlord/lanlord/e2e/lab"
)

const systemNamespace = "metallb-system"

func install(r *reader) {
	r.t.Helper()
	r.deleteAfter("-k", "../../deploy/metallb")
	r.run("image=" + lab.EchoImage)
	r.run("kubectl apply -k deploy/metallb")
}

// remove leaves nothing of Lanlord but what the reader made himself, which went with the namespace.
func remove(r *reader) {
	r.t.Helper()
	r.run("kubectl delete -k deploy/metallb")
	r.done()
	list, err := r.Clientset.CoreV1().Namespaces().List(r.t.Context(), metav1.ListOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, namespace := range list.Items {
		if slices.Contains([]string{systemNamespace, "traefik"}, namespace.Name) {
			r.t.Errorf("there still is a namespace %s", namespace.Name)
		}
	}
}
