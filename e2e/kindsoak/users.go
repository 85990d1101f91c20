package kindsoak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/lanlord/lanlord/e2e/lab"
	"github.com/lanlord/lanlord/e2e/soak"
)

// The Deployments: steady has its pod on the control plane, where no fault takes it away, and so must always answer; the pods of roaming are
// deleted, and become more and fewer and none.
const (
	steady  = "steady"
	roaming = "roaming"
)

// users create, change and delete Services, and do things to Deployments, from a seed.
type users struct {
	*site
	random *rand.Rand
	todo   chan struct{}
	// most is how many Services come and go at once; made counts all of them.
	most, made int
	living     []*soak.Wish
}

// newUsers makes the Deployments, and the Services that stay.
func newUsers(ctx context.Context, s *site) (*users, error) {
	stay := s.Services / 3
	u := &users{site: s, random: rand.New(rand.NewPCG(s.Seed, 2)), todo: make(chan struct{}), most: s.Services - stay}
	if err := u.deploy(ctx); err != nil {
		return nil, err
	}
	for i := range stay {
		if err := u.create(ctx, u.wish(fmt.Sprintf("stays-%d", i), flavours()[i%len(flavours())], i%16)); err != nil {
			return nil, err
		}
	}
	s.running.Go(func() { u.work(ctx) })
	return u, nil
}

func flavours() []soak.Flavour {
	return []soak.Flavour{soak.Plain, soak.Local, soak.DualStack, soak.Asking, soak.Shared, soak.SixOnly, soak.Plain}
}

// wish is for a Service of a flavour, whose address to ask for is that of a number.
func (u *users) wish(name string, f soak.Flavour, number int) *soak.Wish {
	return &soak.Wish{Name: name, Flavour: f, Number: number, Asked: u.pools.asked(number)}
}

func (u *users) deploy(ctx context.Context) error {
	for name, patch := range map[string]string{
		steady:  fmt.Sprintf(`{"spec":{"template":{"spec":{"nodeName":%q,"terminationGracePeriodSeconds":1}}}}`, u.control.Name),
		roaming: `{"spec":{"template":{"spec":{"terminationGracePeriodSeconds":1}}}}`,
	} {
		replicas := map[string]string{steady: "1", roaming: "2"}[name]
		for _, command := range [][]string{
			{"create", "deployment", name, "--image", lab.EchoImage, "--replicas", replicas},
			{"patch", "deployment", name, "-p", patch},
			{"rollout", "status", "deployment", name, "--timeout", "110s"},
		} {
			if _, err := u.cluster.Kubectl(ctx, append([]string{"-n", appNamespace}, command...)...); err != nil {
				return err
			}
		}
	}
	return nil
}

// step has one thing be done, unless the one before still is: the API server may be away. It tells whether one is.
func (u *users) step() bool {
	select {
	case u.todo <- struct{}{}:
		return true
	default:
		return false
	}
}

// work does what step asks for. What fails, as it does while the API server is away, was not to be.
func (u *users) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-u.todo:
		}
		deed, cancel := context.WithTimeout(ctx, 10*time.Second)
		if err := u.do(deed); err != nil && ctx.Err() == nil {
			u.Count(func(p *soak.Report) { p.Refused[reason(err)]++ })
		}
		cancel()
	}
}

// reason is why the API server has not done what it was asked for, in a few words.
func reason(err error) string {
	if r := apierrors.ReasonForError(err); r != metav1.StatusReasonUnknown {
		return string(r)
	}
	return "no answer"
}

// do does one thing.
func (u *users) do(ctx context.Context) error {
	switch n := len(u.living); {
	case u.random.IntN(8) == 0:
		replicas := []int{0, 1, 2, 3}[u.random.IntN(4)]
		return u.scale(ctx, replicas)
	case u.random.IntN(8) == 0:
		return u.deletePod(ctx)
	case n == 0, n < u.most && u.random.IntN(2) == 0:
		u.made++
		// Addresses that are asked for are nobody else's: each is of one number.
		s := u.wish(fmt.Sprintf("comes-%d", u.made), flavours()[u.random.IntN(len(flavours()))], 16+u.made%16)
		if slices.ContainsFunc(u.living, func(o *soak.Wish) bool { return o.Number == s.Number }) {
			return nil
		}
		u.living = append(u.living, s)
		return u.create(ctx, s)
	case u.random.IntN(3) == 0:
		s := u.living[u.random.IntN(n)]
		return u.change(ctx, s)
	default:
		i := u.random.IntN(n)
		s := u.living[i]
		err := u.cluster.Clientset.CoreV1().Services(appNamespace).Delete(ctx, s.Name, metav1.DeleteOptions{})
		if err == nil || apierrors.IsNotFound(err) {
			u.living, err = slices.Delete(u.living, i, i+1), nil
		}
		return err
	}
}

// create makes a Service.
func (u *users) create(ctx context.Context, s *soak.Wish) error {
	service := s.Service(appNamespace)
	service.Spec.Ports[0].TargetPort = intstr.FromInt32(80)
	service.Spec.Selector = map[string]string{"app": steady}
	if s.Flavour == soak.Local {
		service.Spec.Selector["app"] = roaming
	}
	_, err := u.cluster.Clientset.CoreV1().Services(appNamespace).Create(ctx, service, metav1.CreateOptions{})
	return err
}

// change makes a Service ask for another address, or changes what is of no account.
func (u *users) change(ctx context.Context, s *soak.Wish) error {
	key, value, then := s.Change(u.random, fmt.Sprint(u.made))
	text := "null"
	if value != "" {
		text = fmt.Sprintf("%q", value)
	}
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%s}}}`, key, text)
	_, err := u.cluster.Clientset.CoreV1().Services(appNamespace).Patch(ctx, s.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	if err == nil {
		s.Flavour = then
	}
	return err
}

func (u *users) scale(ctx context.Context, replicas int) error {
	patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)
	_, err := u.cluster.Clientset.AppsV1().Deployments(appNamespace).Patch(ctx, roaming, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// deletePod deletes any one.
func (u *users) deletePod(ctx context.Context) error {
	pods := u.cluster.Clientset.CoreV1().Pods(appNamespace)
	list, err := pods.List(ctx, metav1.ListOptions{LabelSelector: "app=" + roaming})
	if err != nil || len(list.Items) == 0 {
		return err
	}
	err = pods.Delete(ctx, list.Items[u.random.IntN(len(list.Items))].Name, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
