package release

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"sigs.k8s.io/yaml"
)

const root = "../.."

// made makes a release for the platform of the test.
func made(t *testing.T, repository string, push bool) Options {
	t.Helper()
	o := Options{
		Root: root, Dir: filepath.Join(t.TempDir(), "release"), Version: "v0.0.1-test.1", Commit: "0123abc", Repository: repository,
		Push: push, URL: "https://example.org/files/", Log: t.Output(),
		Platforms:       []v1.Platform{{OS: "linux", Architecture: runtime.GOARCH}},
		PluginPlatforms: []v1.Platform{{OS: "linux", Architecture: runtime.GOARCH}},
	}
	if err := Make(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return o
}

// TestRelease makes a release twice, and checks that both are equal, and that each file is what its reader needs.
func TestRelease(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(t.Output(), "registry: ", 0))))
	defer server.Close()
	repository := server.Listener.Addr().String() + "/team/lanlord"
	o, again := made(t, repository, true), made(t, repository, false)
	first, second := read(t, o, checksums), read(t, again, checksums)
	if !bytes.Equal(first, second) {
		t.Errorf("two releases of one commit differ:\n%s\n%s", first, second)
	}
	check := exec.Command("sha256sum", "--check", "--strict", "--quiet", checksums)
	check.Dir = o.Dir
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("sha256sum: %v\n%s", err, out)
	}
	digest := checkImage(t, o)
	byDigest := o.Repository + "@" + digest
	pushed, err := name.NewDigest(byDigest)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := remote.Index(pushed); err != nil {
		t.Errorf("the registry does not have the image of the manifests: %v", err)
	}
	if install := string(read(t, o, "install.yaml")); strings.Count(install, "image: "+byDigest+"\n") != 2 || strings.Contains(install, ":dev") {
		t.Error("install.yaml does not name the image by digest alone")
	}
	checkChart(t, o, digest)
	checkPlugin(t, o)
	if notes := string(read(t, o, "RELEASE_NOTES.md")); !strings.HasPrefix(notes, "### Added") {
		t.Errorf("the notes begin with %.40q", notes)
	}
	guide := string(read(t, o, "README.md"))
	for _, want := range []string{byDigest, "kubectl apply -f install.yaml", imageFile(o.Version), chartFile(o.Version)} {
		if !strings.Contains(guide, want) {
			t.Errorf("README.md does not have %s", want)
		}
	}
	for word := range strings.FieldsFuncSeq(guide, func(r rune) bool { return strings.ContainsRune(" \n`,:()", r) }) {
		if strings.HasSuffix(word, ".tar.gz") || strings.HasSuffix(word, ".tgz") {
			if _, err := os.Stat(filepath.Join(o.Dir, word)); err != nil {
				t.Errorf("README.md names a file that is not there: %v", err)
			}
		}
	}
	if err := Make(t.Context(), o); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("a release over a release: %v", err)
	}
}

// checkImage reads the archive of the image as containerd does, and returns the digest of the image.
func checkImage(t *testing.T, o Options) string {
	t.Helper()
	dir := t.TempDir()
	f, err := os.Open(filepath.Join(o.Dir, imageFile(o.Version)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := writeFiles(dir, unpack(t, f)); err != nil {
		t.Fatal(err)
	}
	path, err := layout.FromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	outer, err := path.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	list, err := outer.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Manifests) != 2 || list.Manifests[0].Digest != list.Manifests[1].Digest {
		t.Fatalf("the archive holds %+v", list.Manifests)
	}
	digest := list.Manifests[0].Digest
	tag, err := name.NewTag(o.Repository + ":" + o.Version)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range list.Manifests {
		names = append(names, m.Annotations["io.containerd.image.name"])
	}
	if want := []string{reference(tag) + ":" + o.Version, reference(tag) + "@" + digest.String()}; !slices.Equal(names, want) {
		t.Errorf("containerd names the image %q", names)
	}
	inner, err := outer.ImageIndex(digest)
	if err != nil {
		t.Fatal(err)
	}
	platforms, err := inner.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	image, err := inner.Image(platforms.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range unpack(t, content) {
		if want := strings.Fields(daemons)[i]; f.name != want || f.mode != 0o755 {
			t.Errorf("the image holds %s with mode %o, want %s", f.name, f.mode, want)
		}
		program := filepath.Join(t.TempDir(), f.name)
		if err := os.WriteFile(program, f.content, 0o755); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(program, "--version").Output()
		if err != nil || !strings.Contains(string(out), " "+o.Version+" (commit "+o.Commit) {
			t.Errorf("%s --version prints %q, %v", f.name, out, err)
		}
	}
	var bom struct {
		Components []struct{ Name, Version, PURL string }
	}
	if err := json.Unmarshal(read(t, o, "speaker_"+o.Version+"_linux_"+runtime.GOARCH+".cdx.json"), &bom); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"std", "github.com/mdlayher/arp", "github.com/hashicorp/memberlist"} {
		if !slices.ContainsFunc(bom.Components, func(c struct{ Name, Version, PURL string }) bool {
			return c.Name == want && c.Version != "" && c.PURL == "pkg:golang/"+want+"@"+c.Version
		}) {
			t.Errorf("the bill of materials does not have %s", want)
		}
	}
	return digest.String()
}

// checkChart checks the chart's version and image. The chart's own tests render the chart.
func checkChart(t *testing.T, o Options, digest string) {
	t.Helper()
	values := map[string]any{}
	var meta map[string]any
	for _, f := range unpackGzip(t, filepath.Join(o.Dir, chartFile(o.Version))) {
		var err error
		switch f.name {
		case "lanlord/values.yaml":
			err = yaml.Unmarshal(f.content, &values)
		case "lanlord/Chart.yaml":
			err = yaml.Unmarshal(f.content, &meta)
		}
		if err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
	}
	image, _ := values["image"].(map[string]any)
	if image["repository"] != o.Repository || image["digest"] != digest || image["tag"] != "" {
		t.Errorf("the chart's image is %v", image)
	}
	if meta["version"] != strings.TrimPrefix(o.Version, "v") || meta["appVersion"] != o.Version {
		t.Errorf("the chart has version %v of %v", meta["version"], meta["appVersion"])
	}
}

// checkPlugin checks that krew finds the archive, and that the archive has a working plugin.
func checkPlugin(t *testing.T, o Options) {
	t.Helper()
	var m krewManifest
	if err := yaml.UnmarshalStrict(read(t, o, "krew-lanlord.yaml"), &m); err != nil {
		t.Fatal(err)
	}
	archive := archiveName(o.Version, o.PluginPlatforms[0])
	want, err := sum(filepath.Join(o.Dir, archive))
	if err != nil {
		t.Fatal(err)
	}
	if p := m.Spec.Platforms; len(p) != 1 || p[0].URI != "https://example.org/files/"+archive || p[0].SHA256 != want || p[0].Bin != plugin {
		t.Errorf("krew is told %+v", p)
	}
	files := unpackGzip(t, filepath.Join(o.Dir, archive))
	if len(files) != 2 || files[0].name != "LICENSE" || files[1].name != plugin || files[1].mode != 0o755 {
		t.Fatalf("%d files in the archive of the plugin", len(files))
	}
	if _, err := elf.NewFile(bytes.NewReader(files[1].content)); err != nil {
		t.Error(err)
	}
}

func read(t *testing.T, o Options, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(o.Dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func unpack(t *testing.T, r io.Reader) (files []file) {
	t.Helper()
	for archive := tar.NewReader(r); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		if !header.ModTime.IsZero() && header.ModTime.Unix() != 0 || header.Uid != 0 {
			t.Errorf("%s is of %v and user %d, which differ from one machine to the next", header.Name, header.ModTime, header.Uid)
		}
		files = append(files, file{name: header.Name, content: content, mode: header.Mode})
	}
}

func unpackGzip(t *testing.T, path string) []file {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	return unpack(t, z)
}

// TestZip writes an archive for Windows, where people unpack .zip.
func TestZip(t *testing.T) {
	path := filepath.Join(t.TempDir(), archiveName("v1.2.3", v1.Platform{OS: "windows", Architecture: "amd64"}))
	if err := writeArchive(path, []file{{name: "a.exe", content: []byte("program"), mode: 0o755}}); err != nil {
		t.Fatal(err)
	}
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	if len(z.File) != 1 || z.File[0].Name != "a.exe" || z.File[0].Mode() != 0o755 {
		t.Errorf("the archive holds %+v", z.File)
	}
}

func TestNotes(t *testing.T) {
	const text = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- new\n\n## [0.2.0] - 2026-12-01\n\n- second\n\n## [0.1.0] - 2026-11-01\n\n- first\n\n[0.1.0]: x\n"
	for version, want := range map[string]string{
		"v0.1.0": "- first\n", "v0.2.0": "- second\n", "v0.3.0-rc.1": "### Added\n\n- new\n",
	} {
		if got, err := notes([]byte(text), version); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", version, got, err, want)
		}
	}
	if _, err := notes([]byte("# Changelog\n\n## [Unreleased]\n"), "v0.1.0"); err == nil {
		t.Error("a release without notes")
	}
}

func TestVersions(t *testing.T) {
	for version, good := range map[string]bool{
		"v0.1.0": true, "v1.20.3-rc.1": true, "0.1.0": false, "v1.2": false, "v01.2.3": false, "v1.2.3+build": false, "": false,
	} {
		o := Options{Version: version, Dir: t.TempDir()}
		o.Platforms, o.PluginPlatforms = Platforms()
		if err := o.problem(); (err == nil) != good {
			t.Errorf("%q: %v", version, err)
		}
	}
}

// TestManifestsThatChanged refuses a repository in which the image has another form: the release would name the wrong image.
func TestManifestsThatChanged(t *testing.T) {
	dir := t.TempDir()
	if err := writeFiles(dir, []file{
		{name: "deploy/install.yaml", content: []byte("image: lanlord/lanlord:latest\n"), mode: 0o644},
		{name: "deploy/helm/lanlord/Chart.yaml", content: []byte("version: 1\n"), mode: 0o644},
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := manifests(dir, image{}); err == nil || !strings.Contains(err.Error(), "deploy/install.yaml") {
		t.Errorf("manifests: %v", err)
	}
	if _, err := chart(dir, "v0.1.0", image{}); err == nil || !strings.Contains(err.Error(), "Chart.yaml") {
		t.Errorf("chart: %v", err)
	}
}

// TestReference checks that containerd finds an image without a registry in its name: containerd's name of the default registry
// has no alias.
func TestReference(t *testing.T) {
	for repository, want := range map[string]string{"a.example/team/lanlord": "a.example/team/lanlord", "lanlord/lanlord": "/lanlord/lanlord"} {
		tag, err := name.NewTag(repository + ":v1")
		if err != nil {
			t.Fatal(err)
		}
		if got := reference(tag); !strings.HasSuffix(got, want) || strings.HasPrefix(got, "index.") {
			t.Errorf("%s: %s", repository, got)
		}
	}
}
