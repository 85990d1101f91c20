// Command image packs files into a container image without a base, for docker load: the same files make the same image, byte for
// byte, whenever and wherever it is packed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/lanlord/lanlord/e2e/command"
	"github.com/lanlord/lanlord/e2e/release"
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
	image, err := release.Pack(flags.Args(), p, labels)
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
