package pathprobe

import "time"

// MostQuestions is the greatest number of questions of a probe.
const MostQuestions = 32

// Options configure a probe. The zero value asks three times, 1.1 s apart, and waits 3.6 s in all: Linux sends a host
// one ICMP error a second, and reports an unreachable host after 3 s.
type Options struct {
	// Questions is the number of SYNs, from 1 to MostQuestions. 0 means three. Each SYN has a port of its own: once a
	// node has forwarded a SYN without a rule, the connection tracking of the node forwards further SYNs with the same
	// ports in the same way, even when the rule exists.
	Questions int
	// Interval is the time from one question to the next. 0 means 1.1 s.
	Interval time.Duration
	// Wait is the time from the first question to the end of the probe. 0 means 3.6 s.
	Wait time.Duration
	// Certain makes the probe end with Open and Refused answers only. Without Certain, an ICMP error ends the probe
	// too.
	Certain bool
}

func (o Options) withDefaults() Options {
	if o.Questions <= 0 {
		o.Questions = 3
	}
	o.Questions = min(o.Questions, MostQuestions)
	if o.Interval <= 0 {
		o.Interval = 1100 * time.Millisecond
	}
	if o.Wait <= 0 {
		o.Wait = 3600 * time.Millisecond
	}
	return o
}

// Probe is the state of one probe: the questions so far, and the best answer.
type Probe struct {
	flow    Flow
	seq     uint32
	options Options
	// asked has the times of the questions.
	asked  []time.Time
	answer Answer
	// refused is the question that a RST has answered, -1 for none.
	refused int
	done    bool
}

// New returns a probe of a flow, from sequence number seq, which should be random (RFC 9293, section 3.4.1). The ports
// after the source port must be free for the questions.
func New(f Flow, seq uint32, o Options) *Probe {
	return &Probe{flow: f, seq: seq, options: o.withDefaults(), refused: -1}
}

// Questions returns the greatest number of questions that the probe asks.
func (p *Probe) Questions() int { return p.options.Questions }

// Step returns the frames to send now, and the time of the next call. After the end of the probe the time is zero.
func (p *Probe) Step(now time.Time) (frames [][]byte, next time.Time) {
	if p.done {
		return nil, time.Time{}
	}
	if len(p.asked) > 0 && !now.Before(p.asked[0].Add(p.options.Wait)) {
		return p.finish(), time.Time{}
	}
	if n := len(p.asked); n < p.options.Questions && (n == 0 || !now.Before(p.asked[n-1].Add(p.options.Interval))) {
		p.asked = append(p.asked, now)
		frames = append(frames, p.flow.question(n, p.seq))
	}
	next = p.asked[0].Add(p.options.Wait)
	if n := len(p.asked); n < p.options.Questions {
		if at := p.asked[n-1].Add(p.options.Interval); at.Before(next) {
			next = at
		}
	}
	return frames, next
}

// Hear judges a received frame, and returns the frames to send now. done is true once the probe is over.
func (p *Probe) Hear(now time.Time, frame []byte) (frames [][]byte, done bool) {
	if p.done {
		return nil, true
	}
	r, ok := p.flow.parse(frame, len(p.asked), p.seq)
	if !ok {
		return nil, false
	}
	if r.answer.Redirected {
		p.answer.Redirected = true
		if p.answer.Outcome == Silent {
			p.answer.By, p.answer.From = r.answer.By, r.answer.From
		}
		return nil, false
	}
	r.answer.After = max(0, now.Sub(p.asked[r.question]))
	r.answer.Redirected = p.answer.Redirected
	if p.answer = r.answer; r.answer.Outcome == Refused {
		p.refused = r.question
	}
	if p.options.Certain && r.answer.Outcome == Unreachable {
		return nil, false
	}
	return p.finish(), true
}

// Stop ends the probe early, and returns the frames to send.
func (p *Probe) Stop() [][]byte { return p.finish() }

// Answer returns the result: the answer that ended the probe, the last ICMP error, or Silent.
func (p *Probe) Answer() Answer { return p.answer }

// finish ends the probe. A RST ends each question, also one without an answer: the connection tracking of a node
// forgets a connection without a reply as soon as a RST passes, and otherwise after two minutes. A refused question
// needs no RST, and gets none: connection tracking has forgotten the question, so the node would send the RST back to
// the segment, and a redirect to the prober. After a redirect, Linux sends the same host no ICMP error for a second.
func (p *Probe) finish() (frames [][]byte) {
	if p.done {
		return nil
	}
	p.done = true
	for n := range p.asked {
		if n == p.refused || p.flow.echo() {
			continue
		}
		frames = append(frames, p.flow.rst(n, p.seq+1))
	}
	return frames
}
