package release

import (
	"fmt"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"sigs.k8s.io/yaml"
)

// plugin is the name of the plugin for kubectl.
const plugin = "kubectl-lanlord"

// archiveName returns the name of the plugin's archive for a platform.
func archiveName(version string, p v1.Platform) string {
	kind := ".tar.gz"
	if p.OS == "windows" {
		kind = ".zip"
	}
	return fmt.Sprintf("%s_%s_%s_%s%s", plugin, version, p.OS, p.Architecture, kind)
}

// executable returns the name of a program on a platform.
func executable(program string, p v1.Platform) string {
	if p.OS == "windows" {
		return program + ".exe"
	}
	return program
}

// krewManifest is a plugin's entry in an index of krew, kubectl's plugin manager.
type krewManifest struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   map[string]string `json:"metadata"`
	Spec       krewSpec          `json:"spec"`
}

type krewSpec struct {
	Version          string         `json:"version"`
	Homepage         string         `json:"homepage"`
	ShortDescription string         `json:"shortDescription"`
	Description      string         `json:"description"`
	Platforms        []krewPlatform `json:"platforms"`
}

type krewPlatform struct {
	Selector krewSelector `json:"selector"`
	URI      string       `json:"uri"`
	SHA256   string       `json:"sha256"`
	Bin      string       `json:"bin"`
}

type krewSelector struct {
	MatchLabels map[string]string `json:"matchLabels"`
}

// krew returns the manifest for the archives in a folder, which are published below a URL.
func krew(dir, version, url string, platforms []v1.Platform) ([]byte, error) {
	m := krewManifest{
		APIVersion: "krew.googlecontainertools.github.com/v1alpha2", Kind: "Plugin",
		Metadata: map[string]string{"name": strings.TrimPrefix(plugin, "kubectl-")},
		Spec: krewSpec{
			Version: version, Homepage: Home, ShortDescription: "Show who answers for LoadBalancer addresses",
			Description: "Lanlord gives addresses to LoadBalancer Services on bare metal. The plugin shows which node\n" +
				"answers for each address, why a Service waits, and what is wrong with an installation.\n",
		},
	}
	for _, p := range platforms {
		archive := archiveName(version, p)
		s, err := sum(filepath.Join(dir, archive))
		if err != nil {
			return nil, err
		}
		m.Spec.Platforms = append(m.Spec.Platforms, krewPlatform{
			Selector: krewSelector{map[string]string{"os": p.OS, "arch": p.Architecture}},
			URI:      strings.TrimSuffix(url, "/") + "/" + archive, SHA256: s, Bin: executable(plugin, p),
		})
	}
	return yaml.Marshal(m)
}
