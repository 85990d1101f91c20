package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// write makes two programs in a new folder, with times and modes of their own.
func write(t *testing.T, mode os.FileMode, age time.Duration) (programs []string, output string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"speaker", "controller"} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte("program "+name), mode); err != nil {
			t.Fatal(err)
		}
		then := time.Now().Add(-age)
		if err := os.Chtimes(file, then, then); err != nil {
			t.Fatal(err)
		}
		programs = append(programs, file)
	}
	return programs, filepath.Join(dir, "image.tar")
}

func TestSameFilesMakeTheSameImage(t *testing.T) {
	var digests, archives []string
	for _, test := range []struct {
		mode os.FileMode
		age  time.Duration
		swap bool
	}{{0o755, 0, false}, {0o700, 48 * time.Hour, true}} {
		files, output := write(t, test.mode, test.age)
		if test.swap {
			files[0], files[1] = files[1], files[0]
		}
		var digest bytes.Buffer
		if err := run(append([]string{"-o", output, "-t", "lanlord/test:dev", "-label", "a=b"}, files...), &digest); err != nil {
			t.Fatal(err)
		}
		archive, err := os.ReadFile(output)
		if err != nil {
			t.Fatal(err)
		}
		digests, archives = append(digests, digest.String()), append(archives, string(archive))
	}
	if digests[0] != digests[1] || archives[0] != archives[1] {
		t.Errorf("the images differ: %s and %s", digests[0], digests[1])
	}
}

func TestImage(t *testing.T) {
	files, output := write(t, 0o755, 0)
	if err := run(append([]string{"-o", output, "-t", "lanlord/test:dev", "-platform", "linux/arm64", "-label", "k=v=w"}, files...), t.Output()); err != nil {
		t.Fatal(err)
	}
	image, err := tarball.ImageFromPath(output, nil)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.OS != "linux" || config.Architecture != "arm64" || config.Config.Labels["k"] != "v=w" {
		t.Errorf("the image is %+v", config)
	}
	manifest, err := tarball.LoadManifest(opener(output))
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest) != 1 || strings.Join(manifest[0].RepoTags, " ") != "lanlord/test:dev" {
		t.Errorf("the archive holds %+v", manifest)
	}
}

func TestBadArguments(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"-t lanlord/test:dev", "no files to pack"},
		{"-t lanlord/TEST:dev file", "-t: "},
		{"-t lanlord/test:dev -platform a/b/c/d/e file", "-platform: "},
		{"-t lanlord/test:dev /nonexistent/file", "open /nonexistent/file: no such file or directory"},
	} {
		err := run(strings.Fields(test.args), t.Output())
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", test.args, err, test.want)
		}
	}
}

func opener(file string) tarball.Opener {
	return func() (io.ReadCloser, error) { return os.Open(file) }
}
