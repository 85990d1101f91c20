package main

import (
	"time"

	"github.com/lanlord/lanlord/pkg/daemon"
	"github.com/lanlord/lanlord/pkg/speaker"
	"github.com/lanlord/lanlord/pkg/status"
)

// statusCommand is the word that makes this binary ask the running one.
const statusCommand = "status"

// status tells of this speaker.
func (p *program) status() status.Speaker {
	var s status.Speaker
	if loop := p.loop.Load(); loop != nil {
		s = loop.Describe()
	} else {
		s = status.Speaker{
			State: "joining", Since: p.started.UTC(), Owned: []status.Owned{}, Watched: []status.Watched{}, Changes: []status.Change{},
			Interfaces: []status.Interface{}, Members: []status.Member{}, Conflicts: []status.Conflict{},
		}
		if p.standby.Load() {
			s.State = status.SpeakerStandby
		}
		if a := p.announcing.Load(); a != nil {
			s.Interfaces = speaker.Interfaces(a)
		}
	}
	s.Process = status.Process{
		Kind: status.KindSpeaker, Format: status.Format, Time: time.Now().UTC(), Version: daemon.Version(), Pod: p.podName, Node: p.nodeName,
		Started: p.started.UTC(), Connected: p.store.Connected(), Configuration: p.store.Configuration(),
	}
	if err := p.ready(); err != nil {
		s.NotReady = err.Error()
	} else {
		s.Ready = true
	}
	return s
}
