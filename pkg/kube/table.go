package kube

import (
	"strconv"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/tools/cache"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// table holds the converted objects of one kind. It is the store of a reflector, which calls the table from one
// goroutine.
type table[V any] struct {
	// mu is Store.mu. It guards all fields below the functions.
	mu *sync.Mutex
	// convert returns the row of an object, and false for an object without a row. The table calls convert without mu.
	convert func(object any) (V, bool)
	// change is called with mu held for each row that may have changed, and returns whether to wake the reader. A new
	// row has a nil old, and a removed row has a nil new. Both are nil after the deletion of an object without a row.
	// at is a resourceVersion at which new is known to be current.
	change func(key cluster.Key, at string, old, new *V) bool
	// listing is called with mu held before the table takes over a list. back is true when the list is older than the
	// table: the data of the API server was restored from a backup. listing may be nil.
	listing func(back bool)
	// listed is called with mu held after the table has taken over a list, and returns whether to wake the reader.
	// listed may be nil.
	listed func() bool
	// moved is called without mu after every event.
	moved func(wake bool)

	rows map[cluster.Key]*V
	// seen is the newest resourceVersion of a list, a bookmark or an event. Events arrive in order, so the table shows
	// every change up to seen.
	seen   string
	synced bool
	// changed is the resourceVersion of the newest change that the table has shown, 0 for none; deletions count. Unlike
	// seen, changed does not depend on the time of the list.
	changed uint64
	// passed is closed and replaced when seen moves.
	passed chan struct{}
}

var _ cache.ReflectorStore = (*table[serviceRow])(nil)

// Add implements [cache.ReflectorStore].
func (t *table[V]) Add(object any) error { return t.Update(object) }

// Update implements [cache.ReflectorStore].
func (t *table[V]) Update(object any) error {
	o, err := t.arrive(object)
	if err != nil {
		return err
	}
	t.mu.Lock()
	t.showChange(o.ResourceVersion)
	wake := t.put(o.key(), o.ResourceVersion, o.row)
	t.mu.Unlock()
	t.moved(wake)
	return nil
}

// Delete implements [cache.ReflectorStore].
func (t *table[V]) Delete(object any) error {
	o, err := meta.Accessor(object)
	if err != nil {
		return err
	}
	t.mu.Lock()
	t.showChange(o.GetResourceVersion())
	wake := t.put(cluster.Key{Namespace: o.GetNamespace(), Name: o.GetName()}, o.GetResourceVersion(), nil)
	t.mu.Unlock()
	t.moved(wake)
	return nil
}

// Replace implements [cache.ReflectorStore].
func (t *table[V]) Replace(objects []any, version string) error {
	rows := make(map[cluster.Key]*V, len(objects))
	var newest uint64
	for _, object := range objects {
		o, err := t.arrive(object)
		if err != nil {
			return err
		}
		newest = max(newest, number(o.ResourceVersion))
		if o.row != nil {
			rows[o.key()] = o.row
		}
	}
	t.mu.Lock()
	back := older(version, t.seen)
	if t.listing != nil {
		t.listing(back)
	}
	if back {
		t.changed, t.seen = 0, ""
	}
	last := number(t.seen)
	t.changed = max(t.changed, newest)
	t.see(version)
	t.synced = true
	wake := false
	for key := range t.rows {
		if rows[key] == nil {
			if last > 0 {
				// The object was deleted after the last event. A list does not tell the time of the deletion. After a
				// guess that is too high, nodes that watched the deletion would seem to have missed a change.
				t.changed = max(t.changed, last+1)
			}
			wake = t.put(key, version, nil) || wake
		}
	}
	for key, row := range rows {
		wake = t.put(key, version, row) || wake
	}
	if t.listed != nil {
		wake = t.listed() || wake
	}
	t.mu.Unlock()
	t.moved(wake)
	return nil
}

// Bookmark implements [cache.ReflectorBookmarkStore].
func (t *table[V]) Bookmark(version string) error {
	t.mu.Lock()
	t.see(newer(t.seen, version))
	t.mu.Unlock()
	t.moved(false)
	return nil
}

// Resync implements [cache.ReflectorStore]. It does nothing, because readers take whole snapshots.
func (t *table[V]) Resync() error { return nil }

// Transformer implements [cache.TransformingStore]. The reflector gathers a streamed first list in a store of its own;
// converted objects keep that store as small as the table.
func (t *table[V]) Transformer() cache.TransformFunc {
	return func(object any) (any, error) { return t.arrive(object) }
}

// arrived is an object that was converted on arrival. It keeps only the names and the version of the metadata. row is
// nil for an object without a row.
type arrived[V any] struct {
	metav1.ObjectMeta
	row *V
}

func (a *arrived[V]) key() cluster.Key { return cluster.Key{Namespace: a.Namespace, Name: a.Name} }

// arrive converts an object, unless the object is converted already.
func (t *table[V]) arrive(object any) (*arrived[V], error) {
	if done, ok := object.(*arrived[V]); ok {
		return done, nil
	}
	o, err := meta.Accessor(object)
	if err != nil {
		return nil, err
	}
	a := &arrived[V]{ObjectMeta: metav1.ObjectMeta{
		Namespace: o.GetNamespace(), Name: o.GetName(), ResourceVersion: o.GetResourceVersion(),
	}}
	if row, ok := t.convert(object); ok {
		a.row = &row
	}
	return a, nil
}

// showChange records the resourceVersion of an event before the table shows the event. The caller holds mu.
func (t *table[V]) showChange(version string) {
	t.see(newer(t.seen, version))
	t.changed = max(t.changed, number(version))
}

// versions returns the progress of the table. The caller holds mu.
func (t *table[V]) versions() cluster.Seen {
	return cluster.Seen{Changed: t.changed, Complete: max(t.changed, number(t.seen))}
}

// see sets seen. The caller holds mu.
func (t *table[V]) see(version string) {
	t.seen = version
	close(t.passed)
	t.passed = make(chan struct{})
}

// put stores a row; nil removes the row. The caller holds mu.
func (t *table[V]) put(key cluster.Key, at string, row *V) (wake bool) {
	old := t.rows[key]
	if row != nil {
		t.rows[key] = row
	} else {
		delete(t.rows, key)
	}
	return t.change(key, at, old, row)
}

// number returns a resourceVersion as a number, 0 for text that is not a number.
func number(version string) uint64 {
	n, err := strconv.ParseUint(version, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// older reports whether resourceVersion a is certainly older than b.
func older(a, b string) bool {
	c, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && c < 0
}

// newer returns the newer of two resourceVersions, b if they cannot be compared.
func newer(a, b string) string {
	if older(b, a) {
		return a
	}
	return b
}

// progress implements progressing.
func (t *table[V]) progress() (seen string, synced bool, passed <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen, t.synced, t.passed
}
