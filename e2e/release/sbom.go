package release

import (
	"bytes"
	"cmp"
	"debug/buildinfo"
	"fmt"
	"runtime/debug"

	"github.com/CycloneDX/cyclonedx-go"
)

// BillOfMaterials returns what is in a program, module by module, in CycloneDX 1.6. The Go linker writes the list into each program.
func BillOfMaterials(program, version string) ([]byte, error) {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return nil, fmt.Errorf("read the modules of %s: %w", program, err)
	}
	bom := cyclonedx.NewBOM()
	main := component(cyclonedx.ComponentTypeApplication, info.Main.Path, version)
	bom.Metadata = &cyclonedx.Metadata{Component: &main}
	components := []cyclonedx.Component{component(cyclonedx.ComponentTypeLibrary, "std", info.GoVersion[len("go"):])}
	for _, m := range info.Deps {
		used := cmp.Or(m.Replace, m)
		components = append(components, module(used))
	}
	bom.Components = &components
	var out bytes.Buffer
	if err := cyclonedx.NewBOMEncoder(&out, cyclonedx.BOMFileFormatJSON).SetPretty(true).Encode(bom); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func module(m *debug.Module) cyclonedx.Component {
	c := component(cyclonedx.ComponentTypeLibrary, m.Path, m.Version)
	if m.Sum != "" {
		// The sum is that of go.sum, a hash of hashes, which CycloneDX has no name for.
		c.Properties = &[]cyclonedx.Property{{Name: "go:sum", Value: m.Sum}}
	}
	return c
}

func component(kind cyclonedx.ComponentType, path, version string) cyclonedx.Component {
	url := "pkg:golang/" + path + "@" + version
	return cyclonedx.Component{Type: kind, Name: path, Version: version, PackageURL: url, BOMRef: url}
}
