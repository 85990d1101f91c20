package release

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// create makes a file with the content that write writes.
func create(path string, write func(io.Writer) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

// readTree returns all files of a folder, in the order of their names.
func readTree(dir string) (files []file, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		files = append(files, file{name: filepath.ToSlash(name), content: content, mode: 0o644})
		return err
	})
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return files, err
}

// writeArchive writes a .tar.gz or, by the name, a .zip.
func writeArchive(path string, files []file) error {
	return create(path, func(w io.Writer) error {
		if strings.HasSuffix(path, ".zip") {
			return writeZip(w, files)
		}
		z, err := gzip.NewWriterLevel(w, gzip.BestCompression)
		if err != nil {
			return err
		}
		return errors.Join(writeTar(z, files), z.Close())
	})
}

func writeZip(to io.Writer, files []file) error {
	w := zip.NewWriter(to)
	for _, f := range files {
		header := &zip.FileHeader{Name: f.name, Method: zip.Deflate}
		header.SetMode(fs.FileMode(f.mode))
		part, err := w.CreateHeader(header)
		if err != nil {
			return err
		}
		if _, err := part.Write(f.content); err != nil {
			return err
		}
	}
	return w.Close()
}

// sum returns the SHA-256 sum of a file in hexadecimal digits.
func sum(path string) (string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	s := sha256.Sum256(content)
	return hex.EncodeToString(s[:]), nil
}

// checksums is the name of the list of checksums, in the format of sha256sum.
const checksums = "SHA256SUMS"

// writeChecksums writes the checksums of all files in a folder.
func writeChecksums(dir string) error {
	files, err := readTree(dir)
	if err != nil {
		return err
	}
	var list bytes.Buffer
	for _, f := range files {
		s := sha256.Sum256(f.content)
		fmt.Fprintf(&list, "%x  %s\n", s, f.name)
	}
	return os.WriteFile(filepath.Join(dir, checksums), list.Bytes(), 0o644)
}
