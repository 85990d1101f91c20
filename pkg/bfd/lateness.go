package bfd

import (
	"math/bits"
	"time"

	"github.com/lanlord/lanlord/pkg/bfd/session"
)

const (
	// latenessSpan is the time after which a sample is forgotten, at the latest after twice that.
	latenessSpan = 10 * time.Second
	// leastSamples is the number of samples below which a percentile would be the worst sample.
	leastSamples = 100
	// calmSpan is the time between two steps back to the interval of the profile.
	calmSpan = 30 * time.Second
	// octave is the number of buckets for each power of two.
	octave = 4
	// buckets covers 1 µs to 1 h.
	buckets = 33 * octave
)

// lateness measures how late this process is: its timers, and its reads. The zero value is ready for use.
type lateness struct {
	recent, before samples
	turned         time.Duration
}

// samples is a histogram with buckets of at most 25 % width.
type samples struct {
	counts [buckets]uint32
	total  uint32
	worst  time.Duration
}

// add records a sample. now is a monotonic time.
func (l *lateness) add(late, now time.Duration) {
	if now-l.turned >= latenessSpan {
		l.before, l.recent = l.recent, samples{}
		if now-l.turned >= 2*latenessSpan {
			l.before = samples{}
		}
		l.turned = now
	}
	late = max(late, 0)
	l.recent.counts[bucket(late)]++
	l.recent.total++
	l.recent.worst = max(l.recent.worst, late)
}

// bucket returns the index for a duration: the position of its highest bit, and the two bits behind.
func bucket(d time.Duration) int {
	us := uint64(d / time.Microsecond)
	if us < octave {
		return int(us)
	}
	n := bits.Len64(us)
	return min((n-2)*octave+int(us>>(n-3))&(octave-1), buckets-1)
}

// upper returns the end of a bucket.
func upper(i int) time.Duration {
	if i < octave {
		return time.Duration(i+1) * time.Microsecond
	}
	n := i/octave + 2
	return time.Duration(octave+i%octave+1) << (n - 3) * time.Microsecond
}

// p99 returns the 99th percentile of the recent samples, rounded up to the end of a bucket, 0 with too few samples.
func (l *lateness) p99() time.Duration {
	total := l.recent.total + l.before.total
	if total < leastSamples {
		return 0
	}
	above := total / 100
	for i := buckets - 1; i >= 0; i-- {
		n := l.recent.counts[i] + l.before.counts[i]
		if n > above {
			return min(upper(i), l.worst())
		}
		above -= n
	}
	return 0
}

// worst returns the greatest of the recent samples.
func (l *lateness) worst() time.Duration { return max(l.recent.worst, l.before.worst) }

// stretch decides how often the intervals are doubled (see session.Session.Stretch), from the present number of
// doublings and the time of their last change. The interval grows when p99 exceeds half of the interval, or when a
// single sample used up half of the time that the peer leaves: a peer expires after multiplier intervals, and one of
// these intervals is due anyway. The interval shrinks by one step after a calm time.
func (l *lateness) stretch(p Profile, current uint8, changed, now time.Duration) uint8 {
	measure := max(l.p99(), l.worst()/time.Duration(max(p.DetectMultiplier, 2)-1))
	interval := func(n uint8) time.Duration { return min(p.TransmitInterval<<n, max(time.Second, p.TransmitInterval)) }
	if measure > interval(current)/2 {
		for current < session.MaxStretch && measure > interval(current)/2 && interval(current) < time.Second {
			current++
		}
		return current
	}
	if current > 0 && measure <= interval(current-1)/4 && now-changed >= calmSpan {
		return current - 1
	}
	return current
}
