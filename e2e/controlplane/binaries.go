package controlplane

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Binaries returns the directory in the laboratory's cache that has etcd and hyperkube, the newest one. The error says how to
// get them.
func Binaries() (string, error) {
	cache := os.Getenv("LANLORD_CACHE")
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("name a folder with LANLORD_CACHE: %w", err)
		}
		cache = filepath.Join(user, "lanlord")
	}
	found, err := filepath.Glob(filepath.Join(cache, "bins", "*", "hyperkube"))
	if err != nil {
		return "", err
	}
	age := func(file string) int64 {
		info, err := os.Stat(file)
		if err != nil {
			return 0
		}
		return info.ModTime().UnixNano()
	}
	slices.SortFunc(found, func(a, b string) int { return cmp.Compare(age(b), age(a)) })
	for _, file := range found {
		dir := filepath.Dir(file)
		if _, err := os.Stat(filepath.Join(dir, "etcd")); err == nil && filepath.Ext(dir) != ".tmp" {
			return dir, nil
		}
	}
	return "", fmt.Errorf("no etcd and kube-apiserver in %s/bins: e2e/binaries.sh compiles them, in a quarter of an hour", cache)
}
