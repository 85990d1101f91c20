package kube

import (
	"encoding/json"
	"errors"
	"maps"
	"strconv"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clienttesting "k8s.io/client-go/testing"
)

// stateMap returns the ConfigMap lanlord-state with these entries, given as alternating names and texts.
func stateMap(entries ...string) *corev1.ConfigMap {
	o := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "lanlord-system", Name: StateConfigMap}, Data: map[string]string{}}
	for i := 0; i < len(entries); i += 2 {
		o.Data[entries[i]] = entries[i+1]
	}
	return o
}

// reactToConfigMaps applies the rules of the API server to the creation and to patches of ConfigMaps.
func (a *fakeAPI) reactToConfigMaps() {
	group := schema.GroupResource{Resource: "configmaps"}
	a.PrependReactor("create", "configmaps", func(action clienttesting.Action) (bool, runtime.Object, error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		o := action.(clienttesting.CreateAction).GetObject().DeepCopyObject().(*corev1.ConfigMap)
		switch {
		case a.down != nil:
			return true, nil, a.down
		case a.objects["configmaps"][o.Namespace+"/"+o.Name] != nil:
			return true, nil, apierrors.NewAlreadyExists(group, o.Name)
		}
		a.store("configmaps", o)
		return true, o.DeepCopy(), nil
	})
	a.PrependReactor("patch", "configmaps", func(action clienttesting.Action) (bool, runtime.Object, error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		p := action.(clienttesting.PatchActionImpl)
		var patch corev1.ConfigMap
		if err := json.Unmarshal(p.Patch, &patch); err != nil || p.PatchType != types.MergePatchType || p.Name != StateConfigMap {
			return true, nil, errors.Join(err, apierrors.NewForbidden(group, p.Name, errors.New("only a merge patch of lanlord-state")))
		}
		old, found := a.objects["configmaps"][p.Namespace+"/"+p.Name].(*corev1.ConfigMap)
		switch {
		case a.down != nil:
			return true, nil, a.down
		case !found:
			return true, nil, apierrors.NewNotFound(group, p.Name)
		case patch.ResourceVersion != old.ResourceVersion:
			return true, nil, apierrors.NewConflict(group, p.Name, errors.New("the object has been modified"))
		}
		a.patches = append(a.patches, string(p.Patch))
		next := old.DeepCopy()
		next.Data = maps.Clone(old.Data)
		if next.Data == nil {
			next.Data = map[string]string{}
		}
		maps.Copy(next.Data, patch.Data)
		a.store("configmaps", next)
		return true, next.DeepCopy(), nil
	})
}

// kept returns the entries of lanlord-state, and the number of patches since the last call.
func (a *fakeAPI) kept() (data map[string]string, patches int) {
	synctest.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	patches, a.patches = len(a.patches), nil
	if o, found := a.objects["configmaps"]["lanlord-system/"+StateConfigMap].(*corev1.ConfigMap); found {
		return o.Data, patches
	}
	return nil, patches
}

func versionText(s *Store) string {
	return strconv.FormatUint(s.Snapshot().Versions.Config.Version, 10)
}
