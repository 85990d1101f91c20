package release

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Home is the address of the project.
const Home = "https://github.com/lanlord/lanlord"

// daemons are the programs of the image.
const daemons = "controller speaker"

// Options say what to release.
type Options struct {
	// Root is the folder of the repository, and Dir the folder to make.
	Root, Dir string
	// Version is a semantic version with a leading v, such as v0.1.0 or v0.1.0-rc.1.
	Version string
	// Commit is the commit that the programs name.
	Commit string
	// Repository is the name of the image, without a tag.
	Repository string
	// Push makes Make push the image to the registry of Repository, with the credentials of docker's configuration.
	Push bool
	// URL is the address below which the files will be published.
	URL string
	// Platforms are the platforms of the image, PluginPlatforms those of the plugin.
	Platforms, PluginPlatforms []v1.Platform
	// Log receives a line for each step.
	Log io.Writer
}

// Platforms returns the platforms of the nodes, and of the computers of the people who use kubectl.
func Platforms() (nodes, people []v1.Platform) {
	nodes = []v1.Platform{
		{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}, {OS: "linux", Architecture: "arm", Variant: "v7"},
	}
	people = []v1.Platform{
		{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}, {OS: "darwin", Architecture: "amd64"},
		{OS: "darwin", Architecture: "arm64"}, {OS: "windows", Architecture: "amd64"},
	}
	return nodes, people
}

// semantic is the syntax of Semantic Versioning 2.0.0 with a leading v, without build metadata, which no tag of an image may have.
var semantic = regexp.MustCompile(`^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$`)

func (o Options) problem() error {
	switch {
	case !semantic.MatchString(o.Version):
		return fmt.Errorf("version %q is not a semantic version such as v0.1.0", o.Version)
	case len(o.Platforms) == 0 || len(o.PluginPlatforms) == 0:
		return errors.New("no platforms")
	}
	if entries, err := os.ReadDir(o.Dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty: remove the folder, or name another", o.Dir)
	}
	return nil
}

// Make makes all files of a release in Dir, and pushes the image if Options say so.
func Make(ctx context.Context, o Options) error {
	if err := o.problem(); err != nil {
		return err
	}
	tag, err := name.NewTag(o.Repository + ":" + o.Version)
	if err != nil {
		return fmt.Errorf("name of the image: %w", err)
	}
	changelog, err := os.ReadFile(filepath.Join(o.Root, "CHANGELOG.md"))
	if err != nil {
		return err
	}
	text, err := notes(changelog, o.Version)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(o.Dir, "RELEASE_NOTES.md"), text, 0o644); err != nil {
		return err
	}
	built, err := o.makeImage(ctx, tag)
	if err != nil {
		return err
	}
	if err := o.makeManifests(built); err != nil {
		return err
	}
	if err := o.makePlugin(ctx); err != nil {
		return err
	}
	if err := o.makeGuide(built); err != nil {
		return err
	}
	return writeChecksums(o.Dir)
}

func (o Options) say(format string, args ...any) {
	fmt.Fprintf(o.Log, "release: "+format+"\n", args...)
}

// build compiles a program for a platform below a folder, and returns the path of the program.
func (o Options) build(ctx context.Context, program string, p v1.Platform, work string) (string, error) {
	path := filepath.Join(work, strings.ReplaceAll(p.String(), "/", "-"), executable(program, p))
	const daemon = "github.com/lanlord/lanlord/pkg/daemon"
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags", fmt.Sprintf("-s -w -X %s.version=%s -X %s.commit=%s", daemon, o.Version, daemon, o.Commit),
		"-o", path, "./cmd/"+program)
	build.Dir = o.Root
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOOS="+p.OS, "GOARCH="+p.Architecture,
		"GOARM="+strings.TrimPrefix(p.Variant, "v"))
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s for %s: %w\n%s", program, p.String(), err, out)
	}
	return path, nil
}

// makeImage makes the image of all platforms with the bills of materials, and pushes the image.
func (o Options) makeImage(ctx context.Context, tag name.Tag) (image, error) {
	work, err := os.MkdirTemp("", "release-")
	if err != nil {
		return image{}, err
	}
	defer os.RemoveAll(work)
	var images []v1.Image
	for _, p := range o.Platforms {
		o.say("build %s for %s", daemons, p.String())
		var programs []string
		for program := range strings.FieldsSeq(daemons) {
			path, err := o.build(ctx, program, p, work)
			if err != nil {
				return image{}, err
			}
			bom, err := BillOfMaterials(path, o.Version)
			if err != nil {
				return image{}, err
			}
			to := fmt.Sprintf("%s_%s_%s.cdx.json", program, o.Version, strings.ReplaceAll(p.String(), "/", "_"))
			if err := os.WriteFile(filepath.Join(o.Dir, to), bom, 0o644); err != nil {
				return image{}, err
			}
			programs = append(programs, path)
		}
		packed, err := Pack(programs, &p, map[string]string{
			"org.opencontainers.image.source": Home, "org.opencontainers.image.version": o.Version,
			"org.opencontainers.image.revision": o.Commit, "org.opencontainers.image.licenses": "Apache-2.0",
		})
		if err != nil {
			return image{}, err
		}
		images = append(images, packed)
	}
	joined := index(images, o.Platforms)
	digest, err := joined.Digest()
	if err != nil {
		return image{}, err
	}
	if err := writeImage(filepath.Join(o.Dir, imageFile(o.Version)), tag, joined); err != nil {
		return image{}, err
	}
	if o.Push {
		o.say("push %s", tag)
		err := remote.WriteIndex(tag, joined, remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithContext(ctx))
		if err != nil {
			return image{}, fmt.Errorf("push %s: %w", tag, err)
		}
	}
	return image{repository: o.Repository, digest: digest.String()}, nil
}

// imageFile returns the name of the image's archive.
func imageFile(version string) string { return "lanlord-" + version + "-image.tar" }

// chartFile returns the name of the chart's archive, as helm package names it.
func chartFile(version string) string { return "lanlord-" + strings.TrimPrefix(version, "v") + ".tgz" }

// makeManifests writes install.yaml by itself, all manifests in an archive, and the chart.
func (o Options) makeManifests(built image) error {
	o.say("manifests and chart, with the image %s", built.byDigest())
	files, err := manifests(o.Root, built)
	if err != nil {
		return err
	}
	install := slices.IndexFunc(files, func(f file) bool { return f.name == "install.yaml" })
	if err := writeFiles(o.Dir, files[install:install+1]); err != nil {
		return err
	}
	for i := range files {
		files[i].name = "deploy/" + files[i].name
	}
	if err := writeArchive(filepath.Join(o.Dir, "deploy-"+o.Version+".tar.gz"), files); err != nil {
		return err
	}
	files, err = chart(o.Root, o.Version, built)
	if err != nil {
		return err
	}
	return writeArchive(filepath.Join(o.Dir, chartFile(o.Version)), files)
}

// makePlugin writes the archives of the plugin, and the manifest for krew.
func (o Options) makePlugin(ctx context.Context) error {
	work, err := os.MkdirTemp("", "release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	license, err := os.ReadFile(filepath.Join(o.Root, "LICENSE"))
	if err != nil {
		return err
	}
	for _, p := range o.PluginPlatforms {
		o.say("build %s for %s", plugin, p.String())
		path, err := o.build(ctx, plugin, p, work)
		if err != nil {
			return err
		}
		program, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		err = writeArchive(filepath.Join(o.Dir, archiveName(o.Version, p)), []file{
			{name: "LICENSE", content: license, mode: 0o644},
			{name: filepath.Base(path), content: program, mode: 0o755},
		})
		if err != nil {
			return err
		}
	}
	manifest, err := krew(o.Dir, o.Version, o.URL, o.PluginPlatforms)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(o.Dir, "krew-lanlord.yaml"), manifest, 0o644)
}

//go:embed guide.md.tmpl
var guide string

// makeGuide writes README.md, which leads from the folder of the release to an installed Lanlord.
func (o Options) makeGuide(built image) error {
	page, err := template.New("guide").Parse(guide)
	if err != nil {
		return err
	}
	return create(filepath.Join(o.Dir, "README.md"), func(w io.Writer) error {
		return page.Execute(w, map[string]string{
			"Version": o.Version, "ByDigest": built.byDigest(),
			"ImageFile": imageFile(o.Version), "ChartFile": chartFile(o.Version), "Home": Home,
			"Plugin": archiveName(o.Version, v1.Platform{OS: "linux", Architecture: "amd64"}),
		})
	})
}
