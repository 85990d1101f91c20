package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/daemon"
	"github.com/lanlord/lanlord/pkg/daemon/daemontest"
)

func TestBadFlags(t *testing.T) {
	daemontest.BadArguments(t, run, map[string]string{
		"--lissten=:1":     "unknown flag --lissten",
		"--listen":         "missing value for --listen",
		"--log-level=loud": `invalid value "loud" for --log-level: must be debug, info, warn or error`,
		"serve":            `unexpected argument "serve"`,
	})
}

// TestHelpIsDocumented compares docs/flags.md with the output of --help.
func TestHelpIsDocumented(t *testing.T) {
	daemontest.HelpIsDocumented(t, run, "../../docs/flags.md")
}

func TestCheckConfig(t *testing.T) {
	var out bytes.Buffer
	err := run(t.Context(), []string{"--check-config=../../deploy/config.example.yaml"}, &out, &out)
	if err != nil || !strings.Contains(out.String(), "layer2") && !strings.Contains(out.String(), "pool") {
		t.Errorf("the example: %v\n%s", err, out.String())
	}
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("address-pools:\n- name: a\n  protocol: layer2\n  addresses: [10.0.0.9-10.0.0.1]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), []string{"--check-config=" + bad}, &out, &out); err == nil || !strings.Contains(err.Error(), "line 4") {
		t.Errorf("a reversed range: %v, want an error that names line 4", err)
	}
	if err := run(t.Context(), []string{"--check-config=/nonexistent"}, &out, &out); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

// TestFromMetalLB prints a ConfigMap that --check-config accepts. Standard error names the features without a
// counterpart.
func TestFromMetalLB(t *testing.T) {
	dir := t.TempDir()
	file, result := filepath.Join(dir, "crs.yaml"), filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(file, []byte("apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: web}\n"+
		"spec: {addresses: [192.0.2.0/28]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, told bytes.Buffer
	if err := run(t.Context(), []string{"--from-metallb-crs=" + file, "--namespace=here", "--config-map=pools"}, &out, &told); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(told.String(), "IPAddressPool web: it is in no advertisement") {
		t.Errorf("standard error has %q", told.String())
	}
	if err := os.WriteFile(result, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	var checked bytes.Buffer
	if err := run(t.Context(), []string{"--check-config=" + result}, &checked, &checked); err != nil || !strings.Contains(checked.String(), "ConfigMap here/pools") {
		t.Errorf("--check-config: %v\n%s", err, checked.String())
	}
	if err := run(t.Context(), []string{"--from-metallb-crs=/nonexistent"}, &out, &told); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	err := run(t.Context(), []string{"--from-metallb-crs=a", "--check-config=b"}, &out, &told)
	if _, ok := errors.AsType[*daemon.UsageError](err); !ok {
		t.Errorf("two things at once: %v, want a usage error", err)
	}
}

// TestStopsWithoutCluster starts against an unreachable API server, and is told to stop.
func TestStopsWithoutCluster(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	var out bytes.Buffer
	if err := run(ctx, []string{"--kubeconfig=" + daemontest.Unreachable(t), "--listen=127.0.0.1:0"}, &out, t.Output()); err != nil {
		t.Errorf("stopped with %v", err)
	}
}

// TestSecretFilesAreNotPrinted checks that readFile refuses files that a person without rights to Secrets could print
// by an error message, also behind a symbolic link.
func TestSecretFilesAreNotPrinted(t *testing.T) {
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink("/proc/self/environ", link); err != nil {
		t.Fatal(err)
	}
	t.Setenv("LANLORD_TEST", "a: secret")
	for _, file := range []string{
		"/proc/self/environ", "/proc/../proc/self/environ", link, "/proc/self/root/proc/self/environ", "/proc/thread-self/root" + link,
	} {
		for _, flag := range []string{"--check-config=", "--from-metallb-crs="} {
			var out bytes.Buffer
			err := run(t.Context(), []string{flag + file}, &out, &out)
			if err == nil || !strings.Contains(err.Error(), "is below /proc") || strings.Contains(err.Error()+out.String(), "secret\"") {
				t.Errorf("%s%s: %v, %s", flag, file, err, out.String())
			}
		}
	}
}

// TestOwnClassIsNotAnnouncedOnly checks the warning about an entry of announce-classes for the Services that Lanlord
// itself serves.
func TestOwnClassIsNotAnnouncedOnly(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte("announce-classes: [\"\"]\naddress-pools: [{name: a, protocol: layer2, addresses: [10.0.0.1]}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for class, warned := range map[string]bool{"": true, "lanlord.io/lanlord": false} {
		var out strings.Builder
		if err := run(t.Context(), []string{"--check-config", file, "--load-balancer-class=" + class}, &out, io.Discard); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), "warning: announce-classes") != warned {
			t.Errorf("class %q: %s", class, out.String())
		}
	}
}

// TestTokenIsNotRead checks that readFileOutside refuses the token of a ServiceAccount by all names that the file may
// have. As in a Pod, the token is behind two links.
func TestTokenIsNotRead(t *testing.T) {
	secrets, elsewhere := filepath.Join(t.TempDir(), "secrets"), t.TempDir()
	at := filepath.Join(secrets, "..2026_11_30")
	if err := os.MkdirAll(at, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(at, "token"), []byte("eyJ"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(elsewhere, "config"), []byte("address-pools: []"), 0o600); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{
		filepath.Join(secrets, "..data"): "..2026_11_30", filepath.Join(secrets, "token"): "..data/token",
		filepath.Join(elsewhere, "file"): filepath.Join(secrets, "token"), filepath.Join(elsewhere, "folder"): secrets,
		filepath.Join(elsewhere, "root"): "/proc/self/root",
	} {
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	relative, err := filepath.Rel(here, filepath.Join(secrets, "token"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{
		filepath.Join(secrets, "token"), filepath.Join(secrets, "..data", "token"), relative, secrets + "/../secrets/token",
		filepath.Join(elsewhere, "file"), filepath.Join(elsewhere, "folder", "token"), "/proc/self/root" + secrets + "/token",
		"/proc/self/cwd/" + relative, elsewhere + "/root" + secrets + "/token",
	} {
		if text, err := readFileOutside(file, []string{secrets}); err == nil || len(text) > 0 {
			t.Errorf("%s is read: %s", file, text)
		}
	}
	if text, err := readFileOutside(filepath.Join(elsewhere, "config"), []string{secrets}); err != nil || len(text) == 0 {
		t.Errorf("a configuration is refused: %v", err)
	}
}

// TestKubeconfigIsNotRepeated checks that the error for an invalid kubeconfig does not quote the file.
func TestKubeconfigIsNotRepeated(t *testing.T) {
	const secret = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzcGVha2VyIn0"
	for name, text := range map[string]string{"token": secret, "pair": "key-1: " + secret, "list": "- " + secret, "broken": "a: [" + secret} {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		err := run(ctx, []string{"--kubeconfig=" + file, "--listen=127.0.0.1:0", "--status-listen="}, &out, &out)
		cancel()
		if err == nil || strings.Contains(err.Error()+out.String(), secret[:12]) {
			t.Errorf("%s: %v\n%s", name, err, out.String())
		}
	}
}
