package scale

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lanlord/lanlord/e2e/wire"
)

// rest is how long what is measured may go on after what caused it.
const rest = 2 * time.Second

// Foreign frames come so many a second, for so long.
const (
	foreignRate  = 10_000
	foreignLasts = 10 * time.Second
)

// Usage is what the controller and the speakers took.
type Usage struct {
	// Controller is CPU time; Speaker that of the speakers on average.
	Controller, Speaker time.Duration
	// Switches counts the context switches of the threads of a speaker, on average.
	Switches int
	// Gossip and Watching are bytes that a node sent and received for its speakers' gossip, and on the LAN.
	Gossip, Watching uint64
	// Over is how long it was measured.
	Over time.Duration
}

// measure returns what was used while f ran. The controller must run, and nobody may restart.
func (r *Rig) measure(f func() error) (Usage, error) {
	before, err := r.usage()
	if err != nil {
		return before, err
	}
	began := time.Now()
	if err := f(); err != nil {
		return before, err
	}
	u, err := r.usage()
	u.Over = time.Since(began)
	u.Controller -= before.Controller
	u.Speaker -= before.Speaker
	u.Switches -= before.Switches
	u.Gossip -= before.Gossip
	u.Watching -= before.Watching
	return u, err
}

// usage returns the sums since the starts of the processes.
func (r *Rig) usage() (u Usage, err error) {
	controller, err := loadOf(r.controller.Process.Pid)
	if err != nil {
		return u, err
	}
	speaker, err := r.speakersLoad()
	if err != nil {
		return u, err
	}
	u.Controller, u.Speaker, u.Switches = controller.cpu, speaker.cpu, speaker.switches
	for i := range r.options.Speakers {
		for network, to := range map[wire.Network]*uint64{wire.Gossip: &u.Gossip, wire.LAN: &u.Watching} {
			sent, received, err := r.lab.Traffic(i, network)
			if err != nil {
				return u, err
			}
			*to += sent + received
		}
	}
	speakers := uint64(r.options.Speakers)
	u.Gossip, u.Watching = u.Gossip/speakers, u.Watching/speakers
	return u, nil
}

// speakersLoad returns the load of a speaker since its start, on average.
func (r *Rig) speakersLoad() (sum load, err error) {
	for i := range r.options.Speakers {
		one, err := loadOf(r.lab.Process(i))
		if err != nil {
			return sum, err
		}
		sum.cpu += one.cpu
		sum.switches += one.switches
	}
	sum.cpu /= time.Duration(r.options.Speakers)
	sum.switches /= r.options.Speakers
	return sum, nil
}

// Idle measures a time in which nothing happens.
func (r *Rig) Idle(ctx context.Context, d time.Duration) (Usage, error) {
	return r.measure(func() error { return wire.Pause(ctx, d) })
}

// Endpoints measures n changes of Services' endpoints: one of three ceases to be ready, and comes back.
func (r *Rig) Endpoints(ctx context.Context, n int) (Usage, error) {
	return r.measure(func() error {
		for i := range n {
			patch := fmt.Appendf(nil, `[{"op":"replace","path":"/endpoints/0/conditions","value":{"ready":%v,"serving":%[1]v}}]`, i%2 == 1)
			_, err := r.server.Admin.DiscoveryV1().EndpointSlices(appNamespace).Patch(ctx, ours(i/2%r.services), types.JSONPatchType, patch,
				metav1.PatchOptions{})
			if err != nil {
				return err
			}
		}
		return wire.Pause(ctx, rest)
	})
}

// Heartbeats measures n heartbeats of Nodes: their kubelets' conditions get another time.
func (r *Rig) Heartbeats(ctx context.Context, n int) (Usage, error) {
	return r.measure(func() error {
		for i := range n {
			at := time.Now().Add(time.Duration(i) * time.Second).UTC().Format(time.RFC3339)
			patch := fmt.Appendf(nil, `{"status":{"conditions":[{"type":"Ready","status":"True","reason":"KubeletReady",`+
				`"message":"kubelet is posting ready status","lastHeartbeatTime":%q}]}}`, at)
			_, err := r.server.Admin.CoreV1().Nodes().Patch(ctx, wire.Bystander(i%r.options.Nodes).Name, types.StrategicMergePatchType, patch,
				metav1.PatchOptions{}, "status")
			if err != nil {
				return err
			}
		}
		return wire.Pause(ctx, rest)
	})
}

// Foreign is what frames of other hosts cost a speaker, one by one: requests for addresses that nobody has, outside the pools and in them.
type Foreign struct{ Outside, Inside wire.Cost }

// Foreign measures it with so many frames a second for so long.
func (r *Rig) Foreign(ctx context.Context, rate int, lasts time.Duration) (f Foreign, err error) {
	if f.Outside, err = r.lab.Foreign(ctx, false, rate, lasts); err == nil {
		f.Inside, err = r.lab.Foreign(ctx, true, rate, lasts)
	}
	return f, err
}

// Resident is the memory of the controller, and of the speaker that has most.
type Resident struct{ Controller, Speaker Memory }

// profile writes the heap profiles of the controller and of a speaker if the options have a folder for them.
func (r *Rig) profile(ctx context.Context) error {
	if r.options.Profiles == "" || r.side.MetalLB != "" {
		return nil
	}
	const path = "/debug/pprof/heap?gc=1"
	controller, err := r.get(ctx, path)
	if err != nil {
		return err
	}
	speaker, err := r.lab.Get(ctx, 0, path)
	for program, text := range map[string]string{"controller": controller, "speaker": speaker} {
		name := fmt.Sprintf("%s%s.%d.heap", r.side.Name, program, r.services)
		err = errors.Join(err, os.WriteFile(filepath.Join(r.options.Profiles, name), []byte(text), 0o644))
	}
	return err
}

// Memory reads it. The controller must run.
func (r *Rig) Memory() (m Resident, err error) {
	if m.Controller, err = memory(r.controller.Process.Pid); err != nil {
		return m, err
	}
	for i := range r.options.Speakers {
		one, err := memory(r.lab.Process(i))
		if err != nil {
			return m, err
		}
		if one.Now > m.Speaker.Now {
			m.Speaker = one
		}
	}
	return m, nil
}
