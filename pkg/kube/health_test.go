package kube

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// TestOlderAPIServer has an API server refuse a list through a watch, which an older API server does not know. The
// Store logs no warning, because the reflector continues without such a list. The Store does log a missing right and
// other invalid requests.
func TestOlderAPIServer(t *testing.T) {
	unknown := apierrors.NewInvalid(schema.GroupKind{Group: "meta.k8s.io", Kind: "ListOptions"}, "", field.ErrorList{
		field.Forbidden(field.NewPath("sendInitialEvents"),
			"sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"),
	})
	other := apierrors.NewInvalid(schema.GroupKind{Group: "meta.k8s.io", Kind: "ListOptions"}, "", field.ErrorList{
		field.Invalid(field.NewPath("resourceVersion"), "x", "must be a number"),
	})
	for _, test := range []struct {
		err    error
		warned bool
	}{
		{unknown, false}, {other, true},
		{apierrors.NewForbidden(schema.GroupResource{Resource: "nodes"}, "", errors.New("no right to list")), true},
	} {
		var log strings.Builder
		h := newHealth(slog.New(slog.NewTextHandler(&log, nil)))
		h.again["nodes"] = func() {} // no watch waits
		h.report(t.Context(), "nodes", test.err)
		h.report(t.Context(), "nodes", nil)
		if warned := strings.Contains(log.String(), "level=WARN"); warned != test.warned || h.isRefused("nodes") {
			t.Errorf("%v: %q", test.err, log.String())
		}
	}
}
