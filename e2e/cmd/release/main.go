// Command release makes the files of a release; see package release.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"

	"github.com/lanlord/lanlord/e2e/command"
	"github.com/lanlord/lanlord/e2e/release"
)

func main() { command.Main(run) }

func run(ctx context.Context, args []string, _, stderr io.Writer) error {
	o := release.Options{Log: stderr}
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.Version, "version", "", "the `version`, such as v0.1.0; required")
	flags.StringVar(&o.Commit, "commit", "unknown", "the commit that the programs name")
	flags.StringVar(&o.Root, "root", ".", "the `folder` of the repository")
	flags.StringVar(&o.Dir, "o", "", "the `folder` to make; dist/VERSION by default")
	flags.StringVar(&o.Repository, "repository", "lanlord/lanlord", "the `name` of the image, without a tag")
	flags.BoolVar(&o.Push, "push", false, "push the image to its registry")
	flags.StringVar(&o.URL, "url", "", "where the files will be published; by default the page of the release")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if o.Dir == "" {
		o.Dir = "dist/" + o.Version
	}
	if o.URL == "" {
		o.URL = release.Home + "/releases/download/" + o.Version
	}
	o.Platforms, o.PluginPlatforms = release.Platforms()
	return release.Make(ctx, o)
}
