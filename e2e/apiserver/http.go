package apiserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/kubernetes/scheme"
)

// mostBody is how long a request's body may be, in bytes.
const mostBody = 3 << 20

// request is what a path asks for.
type request struct {
	kind
	key types.NamespacedName
}

// parsePath understands /api/v1 and /apis/group/version, namespaces, names, and the subresource status, which is the object
// itself here.
func parsePath(path string) (request, bool) {
	group, rest, ok := "v1", "", false
	if rest, ok = strings.CutPrefix(path, "/api/v1/"); !ok {
		parts := strings.SplitN(strings.TrimPrefix(path, "/apis/"), "/", 3)
		if len(parts) < 3 {
			return request{}, false
		}
		group, rest = parts[0]+"/"+parts[1], parts[2]
	}
	var r request
	parts := strings.Split(rest, "/")
	if parts[0] == "namespaces" && len(parts) > 2 {
		r.key.Namespace, parts = parts[1], parts[2:]
	}
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.group == group && k.resource == parts[0] })
	if i < 0 || len(parts) > 3 || len(parts) == 3 && parts[2] != "status" {
		return request{}, false
	}
	r.kind = kinds[i]
	if len(parts) > 1 {
		r.key.Name = parts[1]
	}
	return r, true
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.troubled(w, r) {
		return
	}
	what, ok := parsePath(r.URL.Path)
	if !ok {
		answerError(w, apierrors.NewNotFound(schema.GroupResource{}, r.URL.Path))
		return
	}
	var err error
	switch r.Method {
	case http.MethodGet:
		err = s.serveGet(w, r, what)
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		err = s.serveWrite(w, r, what)
	default:
		err = apierrors.NewMethodNotSupported(what.groupResource(), r.Method)
	}
	if err != nil {
		answerError(w, err)
	}
}

func (k kind) groupResource() schema.GroupResource {
	group, _, _ := strings.Cut(k.group, "/")
	if k.group == "v1" {
		group = ""
	}
	return schema.GroupResource{Group: group, Resource: k.resource}
}

func (k kind) gvk() schema.GroupVersionKind { return schema.FromAPIVersionAndKind(k.group, k.name) }

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client is gone, then
}

// answerError answers with a Status, as client-go expects of every error.
func answerError(w http.ResponseWriter, err error) {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok {
		status = apierrors.NewInternalError(err)
	}
	status.ErrStatus.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	answer(w, int(status.ErrStatus.Code), status.ErrStatus)
}

// serveGet answers for one object, a list or a watch.
func (s *Server) serveGet(w http.ResponseWriter, r *http.Request, what request) error {
	if what.key.Name != "" {
		o := s.get(what.resource, what.key)
		if o == nil {
			return apierrors.NewNotFound(what.groupResource(), what.key.Name)
		}
		answer(w, http.StatusOK, o.text)
		return nil
	}
	which, err := selectionOf(r, what)
	if err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	if watching, _ := strconv.ParseBool(r.URL.Query().Get("watch")); watching {
		return s.serveWatch(w, r, what.kind, which)
	}
	items, version := s.list(what.resource, which)
	texts := make([]json.RawMessage, len(items))
	for i, o := range items {
		texts[i] = o.text
	}
	answer(w, http.StatusOK, map[string]any{
		"apiVersion": what.group, "kind": what.name + "List",
		"metadata": map[string]string{"resourceVersion": strconv.FormatUint(version, 10)}, "items": texts,
	})
	return nil
}

// selectionOf reads the selectors of a list or watch. Of fields only the name can be selected.
func selectionOf(r *http.Request, what request) (selection, error) {
	which := selection{namespace: what.key.Namespace}
	query := r.URL.Query()
	field, err := fields.ParseSelector(query.Get("fieldSelector"))
	if err != nil {
		return which, err
	}
	for _, f := range field.Requirements() {
		if f.Field != metav1.ObjectNameField {
			return which, fmt.Errorf("the field %s cannot be selected", f.Field)
		}
		which.name = f.Value
	}
	which.labels, err = labels.Parse(query.Get("labelSelector"))
	return which, err
}

// serveWrite creates, replaces or patches an object, and answers with what became of it. What names a UID or a resourceVersion
// is refused for any other.
func (s *Server) serveWrite(w http.ResponseWriter, r *http.Request, what request) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, mostBody))
	if err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	var old *stored
	if r.Method != http.MethodPost {
		if old = s.get(what.resource, what.key); old == nil {
			return apierrors.NewNotFound(what.groupResource(), what.key.Name)
		}
	}
	o, err := what.decode(r.Method, body, old)
	if err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	m, err := meta.Accessor(o)
	if err != nil {
		return err
	}
	uid, version := m.GetUID(), m.GetResourceVersion()
	if what.namespaced() {
		m.SetNamespace(what.key.Namespace)
	}
	after, err := s.put(what.kind, o, func(now *stored) error {
		switch {
		case r.Method == http.MethodPost && now != nil:
			return apierrors.NewAlreadyExists(what.groupResource(), m.GetName())
		case r.Method != http.MethodPost && now == nil:
			return apierrors.NewNotFound(what.groupResource(), what.key.Name)
		case now != nil && (uid != "" && uid != now.uid || version != "" && version != strconv.FormatUint(now.version, 10)):
			return apierrors.NewConflict(what.groupResource(), what.key.Name, errors.New("the object has been modified"))
		}
		return nil
	})
	if err != nil {
		return err
	}
	status := http.StatusOK
	if r.Method == http.MethodPost {
		status = http.StatusCreated
	}
	answer(w, status, after.text)
	return nil
}

// decode returns the object that a request's body is, or makes of old.
func (k kind) decode(method string, body []byte, old *stored) (runtime.Object, error) {
	if method != http.MethodPatch {
		gvk := k.gvk()
		o, _, err := scheme.Codecs.UniversalDeserializer().Decode(body, &gvk, k.make())
		return o, err
	}
	o := k.make()
	patched, err := strategicpatch.StrategicMergePatch(old.text, body, o)
	if err != nil {
		return nil, err
	}
	return o, json.Unmarshal(patched, o)
}

func (k kind) namespaced() bool { return k.resource != "nodes" && k.resource != "namespaces" }
