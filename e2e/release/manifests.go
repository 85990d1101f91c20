package release

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// The forms of the image in the manifests of the repository.
const (
	developed    = "image: lanlord/lanlord:dev\n"
	developedTag = "- name: lanlord/lanlord\n  newTag: dev\n"
)

// image is the image of the release as the manifests name it.
type image struct{ repository, digest string }

func (i image) byDigest() string { return i.repository + "@" + i.digest }

// replaceAll replaces old, which must occur the given number of times: otherwise the repository has changed and the release would
// name another image.
func replaceAll(text []byte, old, new string, times int) ([]byte, error) {
	if n := bytes.Count(text, []byte(old)); n != times {
		return nil, fmt.Errorf("%q occurs %d times, want %d", old, n, times)
	}
	return bytes.ReplaceAll(text, []byte(old), []byte(new)), nil
}

// manifests returns the files of deploy/ with the image of the release: install.yaml, and all folders for kubectl apply -k. The
// chart is no part of them.
func manifests(root string, i image) ([]file, error) {
	files, err := readTree(filepath.Join(root, "deploy"))
	if err != nil {
		return nil, err
	}
	files = slices.DeleteFunc(files, func(f file) bool {
		return strings.HasPrefix(f.name, "helm/") || strings.HasPrefix(f.name, "examples/") || !strings.HasSuffix(f.name, ".yaml") &&
			!strings.HasSuffix(f.name, ".json")
	})
	for n := range files {
		f := &files[n]
		switch f.name {
		case "install.yaml":
			f.content, err = replaceAll(f.content, developed, "image: "+i.byDigest()+"\n", 2)
		case "base/kustomization.yaml":
			f.content, err = replaceAll(f.content, developedTag,
				fmt.Sprintf("- name: lanlord/lanlord\n  newName: %s\n  digest: %s\n", i.repository, i.digest), 1)
		}
		if err != nil {
			return nil, fmt.Errorf("deploy/%s: %w", f.name, err)
		}
		if bytes.Contains(f.content, []byte(developed)) {
			return nil, fmt.Errorf("deploy/%s names the image of developers", f.name)
		}
	}
	return files, nil
}

// chart returns the files of the chart, with the version and the image of the release. A chart's version has no leading v.
func chart(root, version string, i image) ([]file, error) {
	const dir = "lanlord"
	files, err := readTree(filepath.Join(root, "deploy", "helm", dir))
	if err != nil {
		return nil, err
	}
	for n := range files {
		f := &files[n]
		var edits [][2]string
		switch f.name {
		case "Chart.yaml":
			edits = [][2]string{
				{`(?m)^version: .*$`, "version: " + strings.TrimPrefix(version, "v")},
				{`(?m)^appVersion: .*$`, "appVersion: " + version},
				{`(?m)^(\s+image: )lanlord/lanlord:dev$`, "${1}" + i.byDigest()},
			}
		case "values.yaml":
			edits = [][2]string{
				{`(?m)^  repository: lanlord/lanlord$`, "  repository: " + i.repository},
				{`(?m)^  digest: ""$`, "  digest: " + i.digest},
			}
		}
		for _, e := range edits {
			pattern := regexp.MustCompile(e[0])
			if n := len(pattern.FindAll(f.content, -1)); n != 1 {
				return nil, fmt.Errorf("%s of the chart: %d lines like %s, want one", f.name, n, e[0])
			}
			f.content = pattern.ReplaceAll(f.content, []byte(e[1]))
		}
		f.name = dir + "/" + f.name
	}
	return files, nil
}

// notes returns the section of the changelog for a version. A version without a section is described by "Unreleased".
func notes(changelog []byte, version string) ([]byte, error) {
	for _, title := range []string{strings.TrimPrefix(version, "v"), "Unreleased"} {
		pattern := regexp.MustCompile(`(?ms)^## \[` + regexp.QuoteMeta(title) + `\][^\n]*\n(.*?)(?:^## \[|^\[[^\]]+\]: |\z)`)
		if m := pattern.FindSubmatch(changelog); m != nil {
			if text := bytes.TrimSpace(m[1]); len(text) > 0 {
				return append(text, '\n'), nil
			}
		}
	}
	return nil, fmt.Errorf("CHANGELOG.md has no section [%s] and nothing under [Unreleased]: add a section", strings.TrimPrefix(version, "v"))
}

// writeFiles writes files below a folder.
func writeFiles(dir string, files []file) error {
	for _, f := range files {
		path := filepath.Join(dir, filepath.FromSlash(f.name))
		if err := create(path, func(w io.Writer) error { _, err := w.Write(f.content); return err }); err != nil {
			return err
		}
		if err := os.Chmod(path, os.FileMode(f.mode)); err != nil {
			return err
		}
	}
	return nil
}
