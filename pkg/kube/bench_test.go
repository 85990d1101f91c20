package kube

import (
	"fmt"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// BenchmarkSnapshot takes a snapshot of 10,000 Services after a change of one Service.
func BenchmarkSnapshot(b *testing.B) {
	s := New(Options{Client: newFakeAPI(), Log: textLog(&lines{})})
	var objects []any
	for i := range 10_000 {
		o := service(fmt.Sprintf("s%05d", i))
		o.ResourceVersion = "1"
		objects = append(objects, o)
	}
	if err := s.services.Replace(objects, "1"); err != nil {
		b.Fatal(err)
	}
	if n := len(s.Snapshot().Services); n != len(objects) {
		b.Fatalf("%d Services", n)
	}
	changed := objects[5000].(*corev1.Service)
	version := 1
	b.ReportAllocs()
	for b.Loop() {
		version++
		changed.ResourceVersion = strconv.Itoa(version)
		if err := s.services.Update(changed); err != nil {
			b.Fatal(err)
		}
		if s.Snapshot().Services[5000].Version != changed.ResourceVersion {
			b.Fatal("the change does not show")
		}
	}
}

// BenchmarkEndpoints changes the endpoints of one Service. Every rollout brings hundreds of such changes.
func BenchmarkEndpoints(b *testing.B) {
	s := New(Options{Client: newFakeAPI(), Log: textLog(&lines{})})
	nodes := make([]string, 100)
	for i := range nodes {
		nodes[i] = fmt.Sprintf("node-%03d", i)
	}
	more, fewer := slice("s-1", "s", nodes...), slice("s-1", "s", nodes[:99]...)
	b.ReportAllocs()
	for b.Loop() {
		if s.slices.Update(more) != nil || s.slices.Update(fewer) != nil {
			b.Fatal("refused")
		}
	}
}
