package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ViewerSecret is the name of the Secret with the key that encrypts the status of the processes. Everybody who may read
// the Secret can read the status. The entry is key-1.
const ViewerSecret = "lanlord-viewer"

const (
	// keyLasts and noKeyLasts are the validity of an answer to a request for the Secret, with and without a key.
	keyLasts, noKeyLasts = 30 * time.Second, 3 * time.Second
	// keyLimit is the time limit of one request for the Secret.
	keyLimit = 5 * time.Second
	// defaultListen is the default port of --listen.
	defaultListen = 7572
)

// KeepViewerSecret creates the Secret lanlord-viewer with a random key whenever the Secret is missing, at once and
// until ctx ends, and then returns nil. Only the leading controller calls KeepViewerSecret.
func KeepViewerSecret(ctx context.Context, client Client, namespace string, log *slog.Logger) error {
	ensure := func(ctx context.Context) error {
		return ensureSecret(ctx, client, namespace, ViewerSecret, "viewer key", log)
	}
	attempt, cancel := context.WithTimeout(ctx, secretLimit)
	err := ensure(attempt)
	cancel()
	if err != nil && ctx.Err() == nil {
		log.Warn("the viewer key could not be created; trying again", "err", err)
	}
	return keepSecret(ctx, "viewer key", log, ensure)
}

// ViewerKey reads the key in the Secret lanlord-viewer on a request for a status, at most once in 3 s. A watch would
// cost each node one more connection for a key that is rarely used.
type ViewerKey struct {
	client    Client
	namespace string

	// mu guards the fields below. Get holds mu while the Secret is read, so that concurrent calls share one request.
	mu   sync.Mutex
	key  []byte
	err  error
	ends time.Time
}

// NewViewerKey returns a ViewerKey that has read nothing yet.
func NewViewerKey(client Client, namespace string) *ViewerKey {
	return &ViewerKey{client: client, namespace: namespace}
}

// Get returns the key, or an error that explains to people why there is none. The error has no text of the API server,
// because everybody who reaches the port of a process may read the error.
func (v *ViewerKey) Get(ctx context.Context) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if now := time.Now(); now.After(v.ends) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keyLimit)
		defer cancel()
		v.key, v.err = v.read(ctx)
		if v.ends = now.Add(keyLasts); v.err != nil {
			v.ends = now.Add(noKeyLasts)
		}
	}
	return v.key, v.err
}

func (v *ViewerKey) read(ctx context.Context) ([]byte, error) {
	o, err := v.client.Do(ctx, Request{Verb: VerbGet, Resource: secrets, Namespace: v.namespace, Name: ViewerSecret})
	switch {
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("there is no Secret %s/%s", v.namespace, ViewerSecret)
	case apierrors.IsForbidden(err):
		return nil, fmt.Errorf("this process may not read the Secret %s/%s", v.namespace, ViewerSecret)
	case err != nil:
		return nil, fmt.Errorf("the Secret %s/%s could not be read", v.namespace, ViewerSecret)
	}
	secret, is := o.(*corev1.Secret)
	if !is || len(secret.Data[firstKey]) == 0 {
		return nil, fmt.Errorf("the Secret %s/%s has no entry %s", v.namespace, ViewerSecret, firstKey)
	}
	return secret.Data[firstKey], nil
}

// Process is a running process of Lanlord.
type Process struct {
	// Pod is the name of the Pod, and Node the name of the Pod's Node.
	Pod, Node string
	// Speaker is true for a speaker, and false for a controller.
	Speaker bool
	// Ready is the Ready condition of the Pod. Deleting is true for a Pod that is being deleted.
	Ready, Deleting bool
	// Addr is the address at which the process serves /metrics.
	Addr netip.AddrPort
	// Problem is the reason why Addr is unknown; nil if Addr is known.
	Problem error
}

// Processes lists the processes of Lanlord in a namespace, in the order of the API server.
func Processes(ctx context.Context, client Client, namespace string) ([]Process, error) {
	list, err := listPods(ctx, client, namespace)
	if err != nil {
		return nil, err
	}
	var all []Process
	for i := range list {
		if pod := &list[i]; pod.Status.Phase == corev1.PodRunning {
			p := Process{
				Pod: pod.Name, Node: pod.Spec.NodeName, Speaker: pod.Labels[componentLabel] == speakerComponent,
				Ready: isReady(pod), Deleting: pod.DeletionTimestamp != nil,
			}
			p.Addr, p.Problem = listenAddr(pod)
			all = append(all, p)
		}
	}
	return all, nil
}

// listPods lists the Pods of Lanlord in a namespace.
func listPods(ctx context.Context, client Client, namespace string) ([]corev1.Pod, error) {
	o, err := client.Do(ctx, Request{Verb: VerbList, Resource: pods, Namespace: namespace, Options: metav1.ListOptions{
		LabelSelector: "app.kubernetes.io/name=lanlord",
	}})
	if err != nil {
		return nil, fmt.Errorf("list the Pods of Lanlord in %s: %w", namespace, err)
	}
	list, is := o.(*corev1.PodList)
	if !is {
		return nil, fmt.Errorf("list the Pods of Lanlord in %s: got %T", namespace, o)
	}
	return list.Items, nil
}

// listenAddr returns the address of the Pod with the port of --listen in the first container.
func listenAddr(pod *corev1.Pod) (netip.AddrPort, error) {
	addr, err := netip.ParseAddr(pod.Status.PodIP)
	if err != nil {
		return netip.AddrPort{}, errors.New("the Pod has no address")
	}
	if len(pod.Spec.Containers) == 0 {
		return netip.AddrPort{}, errors.New("the Pod has no container")
	}
	port := uint64(defaultListen)
	for _, arg := range pod.Spec.Containers[0].Args {
		listen, is := strings.CutPrefix(arg, "--listen=")
		if !is {
			continue
		}
		_, text, err := net.SplitHostPort(listen)
		if err == nil {
			port, err = strconv.ParseUint(text, 10, 16)
		}
		if err != nil || port == 0 {
			return netip.AddrPort{}, fmt.Errorf("its flag --listen names no port: %q", listen)
		}
	}
	return netip.AddrPortFrom(addr, uint16(port)), nil
}

func isReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}
