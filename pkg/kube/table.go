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

// table keeps the converted objects of one kind. It is the store of a reflector, which calls it from one goroutine.
type table[V any] struct {
	// kind is the resource as the API spells it, for logs.
	kind string
	// mu is the Store's. It guards what follows the functions.
	mu *sync.Mutex
	// convert returns what is kept of an object, and false to keep nothing. It is called without mu.
	convert func(object any) (V, bool)
	// change is called with mu held for each row that may have changed and returns whether to wake the reader. Only in a
	// row's first or last change one of old and new is nil. at is a resourceVersion at which new is known to be true.
	change func(key cluster.Key, at string, old, new *V) bool
	// listing is called with mu held before a list is taken over. back is true when the list is older than what was seen:
	// the API server's data was restored from a backup. It may be nil.
	listing func(back bool)
	// moved is called without mu after every event.
	moved func(wake bool)

	rows map[cluster.Key]*V
	// seen is the newest resourceVersion. As events come in their order, the table shows all that came before it.
	seen   string
	synced bool
	// changed is the resourceVersion of the newest change that is shown, 0 for none. Unlike seen it does not depend on when was listed.
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
		t.changed = 0
	}
	t.changed = max(t.changed, newest)
	t.see(version)
	t.synced = true
	wake := false
	for key := range t.rows {
		if rows[key] == nil {
			t.changed = max(t.changed, number(version)) // by then it was gone
			wake = t.put(key, version, nil) || wake
		}
	}
	for key, row := range rows {
		wake = t.put(key, version, row) || wake
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

// Resync implements [cache.ReflectorStore]. Nothing is to be done again: readers take whole snapshots.
func (t *table[V]) Resync() error { return nil }

// Transformer implements [cache.TransformingStore]: a first list that is streamed is gathered in a store of the reflector's
// own, object by object, which so holds no more of each than the table is going to.
func (t *table[V]) Transformer() cache.TransformFunc {
	return func(object any) (any, error) { return t.arrive(object) }
}

// arrived is an object that was converted as it arrived: its names and version are all that is left of its metadata, and row
// is nil where nothing of it is kept.
type arrived[V any] struct {
	metav1.ObjectMeta
	row *V
}

func (a *arrived[V]) key() cluster.Key { return cluster.Key{Namespace: a.Namespace, Name: a.Name} }

// arrive converts an object, unless that has been done.
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

// showChange notes the resourceVersion of a change that is about to be shown. The caller holds mu.
func (t *table[V]) showChange(version string) {
	t.see(newer(t.seen, version))
	t.changed = max(t.changed, number(version))
}

// see sets seen. The caller holds mu.
func (t *table[V]) see(version string) {
	t.seen = version
	close(t.passed)
	t.passed = make(chan struct{})
}

// put stores a row, or removes it where it is nil. The caller holds mu.
func (t *table[V]) put(key cluster.Key, at string, row *V) (wake bool) {
	old := t.rows[key]
	if row != nil {
		t.rows[key] = row
	} else {
		delete(t.rows, key)
	}
	return t.change(key, at, old, row)
}

// number returns a resourceVersion as the number that it is, 0 for one that is none.
func number(version string) uint64 {
	n, err := strconv.ParseUint(version, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// older tells whether resourceVersion a is certainly older than b.
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
