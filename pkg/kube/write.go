package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// Write applies u to a Service in one request, and changes nothing else of the Service. After Write returns nil, every
// later Snapshot shows the result, and Options.Wake has been called. An error that wraps [cluster.ErrChanged] means
// that nothing was written. After any other error, only a later Snapshot shows the outcome. Write sets no time limit of
// its own, and does not send u.Events.
func (s *Store) Write(ctx context.Context, u cluster.Update) error {
	err := s.write(ctx, u)
	s.metrics.wrote(err)
	return err
}

func (s *Store) write(ctx context.Context, u cluster.Update) error {
	return s.patchStatus(ctx, u.Key, u.UID, u.Version, func(row *serviceRow, now time.Time) ([]byte, error) {
		return statusPatch(u, row, now)
	})
}

// WriteRoutes is like Write, but writes only the condition about routers.
func (s *Store) WriteRoutes(ctx context.Context, u cluster.RoutesUpdate) error {
	err := s.patchStatus(ctx, u.Key, u.UID, u.Version, func(row *serviceRow, now time.Time) ([]byte, error) {
		p := servicePatch{Metadata: patchMetadata{UID: u.UID, ResourceVersion: u.Version}}
		p.conditionTo(RoutesType, row.service.Routes, u.Condition, row.generation, now)
		return json.Marshal(p)
	})
	s.metrics.wrote(err)
	return err
}

// patchStatus patches the status of a Service if the UID and the version match.
func (s *Store) patchStatus(
	ctx context.Context, key cluster.Key, uid, version string, patchOf func(*serviceRow, time.Time) ([]byte, error),
) error {
	s.mu.Lock()
	row := s.row(key)
	s.mu.Unlock()
	if row == nil || row.hidden || row.other || row.service.UID != uid || row.service.Version != version {
		return fmt.Errorf("write Service %s: %w", key, cluster.ErrChanged)
	}
	patch, err := patchOf(row, time.Now())
	if err != nil {
		return fmt.Errorf("write Service %s: %w", key, err)
	}
	if err := s.check(ctx); err != nil {
		return fmt.Errorf("write Service %s: %w: %w", key, cluster.ErrChanged, err)
	}
	o, err := do[*corev1.Service](ctx, s.opt.Client, Request{
		Verb: VerbPatch, Resource: services, Namespace: key.Namespace, Name: key.Name, Subresource: "status",
		Patch: patch, PatchType: types.StrategicMergePatchType, FieldManager: s.opt.Component,
	})
	switch {
	case apierrors.IsConflict(err) || apierrors.IsNotFound(err):
		return fmt.Errorf("write Service %s: %w: %w", key, cluster.ErrChanged, err)
	case err != nil:
		return fmt.Errorf("write Service %s: %w", key, err)
	}
	var result *serviceRow
	if now, ok := s.convert(o); ok {
		result = &now
	}
	s.mu.Lock()
	kept := s.keep(key, o.ResourceVersion, result)
	s.mu.Unlock()
	if kept {
		s.moved(true)
	}
	return nil
}

// check returns nil if this process may write.
func (s *Store) check(ctx context.Context) error {
	if s.opt.Check == nil {
		return nil
	}
	return s.opt.Check(ctx)
}

// The patch below is a strategic merge patch. Absent fields stay, null removes a field, the list of ingress is replaced
// as a whole, and the list of conditions is merged by type.
type (
	servicePatch struct {
		Metadata patchMetadata `json:"metadata"`
		Status   patchStatus   `json:"status"`
	}
	patchMetadata struct {
		// UID and ResourceVersion make the API server refuse the patch if the Service was replaced or changed after the
		// decision.
		UID             string             `json:"uid"`
		ResourceVersion string             `json:"resourceVersion"`
		Annotations     map[string]*string `json:"annotations,omitempty"`
	}
	patchStatus struct {
		LoadBalancer *patchLoadBalancer `json:"loadBalancer,omitempty"`
		Conditions   []patchCondition   `json:"conditions,omitempty"`
	}
	patchLoadBalancer struct {
		Ingress []corev1.LoadBalancerIngress `json:"ingress"`
	}
	patchCondition struct {
		Directive          string                 `json:"$patch,omitempty"`
		Type               string                 `json:"type"`
		Status             metav1.ConditionStatus `json:"status,omitempty"`
		ObservedGeneration int64                  `json:"observedGeneration,omitempty"`
		LastTransitionTime *metav1.Time           `json:"lastTransitionTime,omitempty"`
		Reason             *string                `json:"reason,omitempty"`
		Message            *string                `json:"message,omitempty"`
	}
)

// statusPatch returns the patch that applies u to the Service of row.
func statusPatch(u cluster.Update, row *serviceRow, now time.Time) ([]byte, error) {
	p := servicePatch{
		Metadata: patchMetadata{
			UID:             u.UID,
			ResourceVersion: u.Version,
			Annotations:     map[string]*string{AllocatedFromAnnotation: nil},
		},
	}
	if u.AllocatedFrom != "" {
		p.Metadata.Annotations[AllocatedFromAnnotation] = &u.AllocatedFrom
	}
	if row.service.Assignment != nil || row.service.AssignmentProblem != "" {
		p.Metadata.Annotations[AssignmentAnnotation] = nil
	}
	if u.Assignment != nil {
		record, err := FormatAssignment(u.Assignment)
		if err != nil {
			return nil, err
		}
		p.Metadata.Annotations[AssignmentAnnotation] = &record
	}
	if !u.KeepIngress {
		p.Status.LoadBalancer = new(patchLoadBalancer)
	}
	for _, a := range u.Ingress {
		p.Status.LoadBalancer.Ingress = append(p.Status.LoadBalancer.Ingress,
			corev1.LoadBalancerIngress{IP: a.String(), IPMode: new(corev1.LoadBalancerIPModeVIP)})
	}
	p.conditionTo(ConditionType, row.service.Condition, u.Condition, row.generation, now)
	p.conditionTo(ConflictType, row.service.Conflict, u.Conflict, row.generation, now)
	if u.Condition == nil { // Lanlord no longer serves the Service
		p.conditionTo(RoutesType, row.service.Routes, nil, row.generation, now)
	}
	return json.Marshal(p)
}

// conditionTo adds the change of a condition from was to is. nil stands for no condition.
func (p *servicePatch) conditionTo(of string, was, is *cluster.Condition, generation int64, now time.Time) {
	var pc patchCondition
	switch {
	case is == nil && was == nil:
		return
	case is == nil:
		pc = patchCondition{Directive: "delete", Type: of}
	default:
		pc = patchCondition{
			Type: of, Status: metav1.ConditionFalse, ObservedGeneration: generation, Reason: &is.Reason, Message: &is.Message,
		}
		if is.True {
			pc.Status = metav1.ConditionTrue
		}
		if was == nil || was.True != is.True {
			pc.LastTransitionTime = new(metav1.NewTime(now))
		}
	}
	p.Status.Conditions = append(p.Status.Conditions, pc)
}
