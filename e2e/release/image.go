package release

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Pack returns an image without a base, with the programs in its root. The order of the programs, their times and their modes do
// not change the image.
func Pack(programs []string, platform *v1.Platform, labels map[string]string) (v1.Image, error) {
	sorted := slices.SortedFunc(slices.Values(programs), func(a, b string) int {
		return strings.Compare(filepath.Base(a), filepath.Base(b))
	})
	var files []file
	for _, program := range sorted {
		content, err := os.ReadFile(program)
		if err != nil {
			return nil, err
		}
		files = append(files, file{name: filepath.Base(program), content: content, mode: 0o755})
	}
	var layer bytes.Buffer
	if err := writeTar(&layer, files); err != nil {
		return nil, err
	}
	content, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(layer.Bytes())), nil
	}, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.AppendLayers(base, content)
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Variant = platform.OS, platform.Architecture, platform.Variant
	config.Config.Labels = labels
	return mutate.ConfigFile(image, config)
}

// index joins the images of several platforms. Containerd and registries choose from an index.
func index(images []v1.Image, platforms []v1.Platform) v1.ImageIndex {
	joined := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for i, image := range images {
		joined = mutate.AppendManifests(joined, mutate.IndexAddendum{
			Add:        image,
			Descriptor: v1.Descriptor{Platform: &platforms[i]},
		})
	}
	return joined
}

// reference returns the complete name of an image as containerd writes the name.
func reference(tag name.Tag) string {
	const alias = "index." // of the default registry; containerd does not know the alias
	return strings.TrimPrefix(tag.Context().Name(), alias)
}

// writeImage writes an index as an archive of an OCI image layout. Containerd names an imported image by an annotation, so the
// archive has the index under two names, with the tag and with the digest: manifests name the image by digest, and nodes without
// a registry must find that name.
func writeImage(to string, tag name.Tag, image v1.ImageIndex) error {
	dir, err := os.MkdirTemp("", "release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path, err := layout.Write(dir, mutate.IndexMediaType(empty.Index, types.OCIImageIndex))
	if err != nil {
		return err
	}
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	const ociName, containerdName = "org.opencontainers.image.ref.name", "io.containerd.image.name"
	for _, annotations := range []map[string]string{
		{ociName: tag.TagStr(), containerdName: reference(tag) + ":" + tag.TagStr()},
		{containerdName: reference(tag) + "@" + digest.String()},
	} {
		if err := path.AppendIndex(image, layout.WithAnnotations(annotations)); err != nil {
			return err
		}
	}
	files, err := readTree(dir)
	if err != nil {
		return err
	}
	return create(to, func(w io.Writer) error { return writeTar(w, files) })
}

// file is a file of an archive.
type file struct {
	name    string // with slashes
	content []byte
	mode    int64
}

// writeTar writes an archive without anything that differs from one machine to the next: owners, times, the order of the files.
func writeTar(to io.Writer, files []file) error {
	w := tar.NewWriter(to)
	for _, f := range files {
		header := &tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.content)), Format: tar.FormatUSTAR}
		if err := w.WriteHeader(header); err != nil {
			return fmt.Errorf("archive %s: %w", f.name, err)
		}
		if _, err := w.Write(f.content); err != nil {
			return err
		}
	}
	return w.Close()
}
