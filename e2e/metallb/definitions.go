package metallb

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// Definitions returns the CustomResourceDefinitions in one of MetalLB's manifests, in a form that a new API server accepts. A
// definition may name a webhook that converts the resources.
func Definitions(manifest string) (all []unstructured.Unstructured, err error) {
	text, err := os.ReadFile(manifest)
	if err != nil {
		return nil, err
	}
	for decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 1<<16); ; {
		var o unstructured.Unstructured
		err := decoder.Decode(&o.Object)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", manifest, err)
		}
		if o.GetKind() == "CustomResourceDefinition" {
			widen(o.Object)
			all = append(all, o)
		}
	}
}

// widen makes the 32-bit numbers of a schema 64-bit numbers. MetalLB gives some of them a maximum of 4294967295, which a new API
// server refuses to compare a number of the format int32 with, so that it refuses every BGPPeer.
func widen(schema any) {
	switch s := schema.(type) {
	case map[string]any:
		if s["format"] == "int32" {
			s["format"] = "int64"
		}
		for _, v := range s {
			widen(v)
		}
	case []any:
		for _, v := range s {
			widen(v)
		}
	}
}
