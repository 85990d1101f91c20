package bgp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/lanlord/lanlord/pkg/bgp/session"
)

// passedOn is encoded in Detached.State. There are no passwords: the kernel keeps the password with the connection.
type passedOn struct {
	Parameters parameters
	// Config made the state machine. The timers of the peer may have changed since.
	Config session.Config
	// Session is the state of the state machine.
	Session []byte
	// Unsent are bytes that the router must receive before all others.
	Unsent []byte
}

// detach stops the worker where it is, and returns the session for the next process; nil when there is none that is
// established.
func (w *worker) detach(ctx context.Context) *Detached {
	var d *Detached
	if w.link != nil && w.machine.View().State == Established {
		var err error
		if d, err = w.save(ctx); err != nil {
			w.shared.log.Warn("BGP session cannot be handed over", "peer", w.peer.Name, "err", err)
			w.shared.metrics.handedOver(handoverFailed)
		}
	}
	if d == nil {
		// The next process connects anew. A router with graceful restart keeps the routes until then.
		w.step(ctx, session.Stop{Reason: session.Shutdown})
		w.hangUp()
	}
	w.frozen = true
	return d
}

// save stops the connection between two messages that this process sends, and encodes the session.
func (w *worker) save(ctx context.Context) (*Detached, error) {
	link := w.link
	if err := link.pause(func(data []byte) { w.step(ctx, session.Received{Data: data}) }); err != nil {
		return nil, fmt.Errorf("stop the connection: %w", err)
	}
	// The state machine does not encode an unanswered Send. The next process sends the bytes that the kernel did not
	// take, and the updates that waited for these bytes.
	for w.link == link && w.sending {
		w.sending = false
		w.step(ctx, session.Written{})
	}
	if w.link != link || w.machine.View().State != Established {
		return nil, errors.New("the router ended the session")
	}
	state, err := w.machine.Save()
	if err != nil {
		return nil, fmt.Errorf("encode the session: %w", err)
	}
	encoded, err := json.Marshal(passedOn{Parameters: parametersOf(w.peer), Config: w.config, Session: state,
		Unsent: link.unsent})
	if err != nil {
		return nil, fmt.Errorf("encode the session: %w", err)
	}
	file, err := link.file()
	if err != nil {
		return nil, fmt.Errorf("copy the connection: %w", err)
	}
	return &Detached{Name: w.peer.Name, File: file, State: encoded}, nil
}

// resume goes on where detach has stopped the worker.
func (w *worker) resume(ctx context.Context) {
	if !w.frozen {
		return
	}
	w.frozen = false
	if w.link == nil {
		w.start(ctx)
	} else if err := w.link.unpause(); err != nil {
		w.lost(ctx, err)
	} else {
		w.shared.metrics.handedOver(handoverResumed)
		w.step(ctx, session.Timer{})
	}
}

// adopt continues the session that the previous process has passed on. The worker has no state machine after a failure.
func (w *worker) adopt(d Detached) {
	if err := w.restore(d); err != nil {
		w.shared.log.Warn("BGP session cannot be taken over", "peer", w.peer.Name, "err", err)
		w.shared.metrics.handedOver(handoverFailed)
		return
	}
	w.past.adopted = true
	w.shared.metrics.handedOver(handoverAdopted)
}

// restore takes over the connection and the state. It closes the file.
func (w *worker) restore(d Detached) error {
	defer d.File.Close()
	var s passedOn
	if err := json.Unmarshal(d.State, &s); err != nil {
		return fmt.Errorf("decode the session: %w", err)
	}
	machine, err := session.Restore(s.Config, s.Session, time.Now(), w.shared.random)
	if err != nil {
		return fmt.Errorf("decode the session: %w", err)
	}
	conn, err := w.shared.network.Adopt(w.peer, d.File)
	if err != nil {
		return err
	}
	w.past.outdated = s.Parameters != parametersOf(w.peer)
	w.machine, w.config = machine, s.Config
	w.link = newTransport(conn, &w.tasks)
	if len(s.Unsent) > 0 {
		w.link.send(s.Unsent)
	}
	return nil
}

// orphan returns the peer of a detached session, to end the session when the configuration has no such peer.
func orphan(d Detached) (Peer, error) {
	var s passedOn
	if err := json.Unmarshal(d.State, &s); err != nil {
		return Peer{}, fmt.Errorf("decode the session: %w", err)
	}
	return s.Parameters.peer(d.Name), nil
}
