// Command image packs files into a container image without a base, for docker load: the same files make the same image, byte for
// byte, whenever and wherever it is packed.
package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/lanlord/lanlord/e2e/command"
)

func main() {
	command.Main(func(_ context.Context, args []string, stdout, _ io.Writer) error { return run(args, stdout) })
}

// run writes the image and prints its digest.
func run(args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	output := flags.String("o", "image.tar", "`file` to write")
	tag := flags.String("t", "", "`name` of the image; required")
	platform := flags.String("platform", "linux/amd64", "what the files run on")
	labels := map[string]string{}
	flags.Func("label", "`key=value`, as often as there are labels", func(s string) error {
		key, value, ok := strings.Cut(s, "=")
		if !ok {
			return errors.New("must be key=value")
		}
		labels[key] = value
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return err
	}
	ref, err := name.NewTag(*tag)
	if err != nil {
		return fmt.Errorf("-t: %w", err)
	}
	p, err := v1.ParsePlatform(*platform)
	if err != nil {
		return fmt.Errorf("-platform: %w", err)
	}
	if flags.NArg() == 0 {
		return errors.New("no files to pack")
	}
	image, err := pack(flags.Args(), p, labels)
	if err != nil {
		return err
	}
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	if err := tarball.WriteToFile(*output, ref, image); err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, digest)
	return err
}

// pack puts the files, which are programs, into the root of an image.
func pack(files []string, platform *v1.Platform, labels map[string]string) (v1.Image, error) {
	layer, err := layerOf(files)
	if err != nil {
		return nil, err
	}
	content, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(layer)), nil
	})
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, content)
	if err != nil {
		return nil, err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Variant = platform.OS, platform.Architecture, platform.Variant
	file.Config.Labels = labels
	return mutate.ConfigFile(image, file)
}

// layerOf is a tar archive without what differs from one machine to the next: owners, times, the order of the files.
func layerOf(files []string) ([]byte, error) {
	sorted := slices.SortedFunc(slices.Values(files), func(a, b string) int {
		return strings.Compare(filepath.Base(a), filepath.Base(b))
	})
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, file := range sorted {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if err := w.WriteHeader(&tar.Header{Name: filepath.Base(file), Mode: 0o755, Size: int64(len(content)), Format: tar.FormatUSTAR}); err != nil {
			return nil, err
		}
		if _, err := w.Write(content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return archive.Bytes(), nil
}
