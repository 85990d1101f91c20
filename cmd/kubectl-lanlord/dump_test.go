package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// unpacked returns the files of a bundle by their names in the folder of the bundle.
func unpacked(t *testing.T, text []byte) map[string]string {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for archive := tar.NewReader(zip); ; {
		header, err := archive.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		folder, name, _ := strings.Cut(header.Name, "/")
		if folder != "lanlord-dump-20260601T120000Z" || header.Mode != 0o600 {
			t.Errorf("%s has the mode %o", header.Name, header.Mode)
		}
		files[name] = string(text)
	}
}

// planted are secrets that TestDumpHasNoSecrets puts into the cluster. None of them may be in the bundle, also not
// in base64.
var planted = []string{
	"bgp-Passw0rd-in-config", "bgp-Passw0rd-in-state", "an0ther-Passw0rd-of-a-peer", "gossip-key-0123456789", "viewer-key-0123456789",
	"annotation-of-an0ther-program", "env-t0ken-value", "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJlLW9mLXRva2Vu",
	"MIIEowIBAAKCAQEAplantedprivatekey", "bearer-abcdefgh12345678", "comment-Passw0rd", "log-field-Passw0rd", "ur1-Passw0rd", "br0ken-Passw0rd",
}

// plant puts the secrets into the cluster of a scenario.
func plant(t *testing.T, w *scenario) {
	t.Helper()
	ctx, core := t.Context(), w.client.CoreV1()
	config, err := core.ConfigMaps("lanlord-system").Get(ctx, "config", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	config.Data["config"] += "# formerly comment-Passw0rd\npeers:\n- {peer-address: 10.0.0.254, peer-asn: 64512, my-asn: 64513, password: bgp-Passw0rd-in-config}\n" +
		"- {peer-address: 10.0.0.253, peer-asn: 64512, my-asn: 64513, password: \"an0ther-Passw0rd-of-a-peer\"}\n"
	config.Data["old"] = "password: br0ken-Passw0rd\n\t- : ["
	if _, err := core.ConfigMaps("lanlord-system").Update(ctx, config, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	state := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "lanlord-system", Name: "lanlord-state"},
		Data:       map[string]string{"config": "peers:\n- password: bgp-Passw0rd-in-state\n"},
	}
	if _, err := core.ConfigMaps("lanlord-system").Create(ctx, state, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]string{"lanlord-gossip": planted[3], "lanlord-viewer": planted[4], "lanlord-bgp": planted[0]} {
		_ = core.Secrets("lanlord-system").Delete(ctx, name, metav1.DeleteOptions{}) // the scenario may have none
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "lanlord-system", Name: name}, Data: map[string][]byte{"key-1": []byte(key)}}
		if _, err := core.Secrets("lanlord-system").Create(ctx, secret, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	service, err := core.Services("default").Get(ctx, "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	service.Annotations["example.com/credentials"] = planted[5]
	service.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: planted[5]}}
	if _, err := core.Services("default").Update(ctx, service, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	pod, err := core.Pods("lanlord-system").Get(ctx, "speaker-1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pod.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "API_TOKEN", Value: planted[6]}, {Name: "MODE", Value: "true"}}
	if _, err := core.Pods("lanlord-system").Update(ctx, pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.raw["log speaker-1"] = []byte("starting with " + planted[6] + " and " + planted[0] + "\nAuthorization: Bearer " + planted[9] + "\n" +
		"token " + planted[7] + "\n-----BEGIN RSA PRIVATE KEY-----\n" + planted[8] + "\n-----END RSA PRIVATE KEY-----\n" +
		`{"level":"INFO","password":"log-field-Passw0rd","address":"192.0.2.1"} password=log-field-Passw0rd` + "\n" +
		"get https://user:ur1-Passw0rd@registry.example/v2\nan ordinary line\n")
}

// TestDumpHasNoSecrets plants secrets in all places that a bundle reads, and looks for them in the bundle.
func TestDumpHasNoSecrets(t *testing.T) {
	w := scenarioOf(t, "healthy")
	plant(t, w)
	file := filepath.Join(t.TempDir(), "bundle.tar.gz")
	said := w.run("dump", "--file", file)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read the bundle: %v, %v", info.Mode(), err)
	}
	files := unpacked(t, text)
	for name, text := range files {
		for _, secret := range planted {
			for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret))} {
				if strings.Contains(text, form) {
					t.Errorf("%s contains the secret %q:\n%s", name, secret, text)
				}
			}
		}
		if strings.HasSuffix(name, ".json") && !json.Valid([]byte(text)) {
			t.Errorf("%s is no JSON:\n%s", name, text)
		}
	}
	for name, want := range map[string]string{
		"README.txt": "objects/services.yaml", "doctor.txt": "controller", "doctor.json": `"checks"`, "status.txt": "Namespace:", "services.txt": "10.0.0.100",
		"objects/services.yaml": "name: web", "objects/nodes.yaml": "n1", "objects/configmap.yaml": "address-pools", "objects/pods.yaml": "speaker-1",
		"objects/events.yaml": "items", "objects/endpointslices.yaml": "items", "status/speaker-1.json": `"state"`, "logs/speaker-1.speaker.log": "an ordinary line",
		"objects/state.yaml": "password: (left out)", "timeline.txt": "Assigned",
	} {
		if !strings.Contains(files[name], want) {
			t.Errorf("%s has no %q:\n%s", name, want, files[name])
		}
		if !strings.Contains(files["README.txt"], name) && name != "README.txt" {
			t.Errorf("README.txt does not list %s", name)
		}
	}
	if strings.Contains(files["objects/pods.yaml"], `"true"`) {
		t.Error("the value of a variable is in the bundle")
	}
	if !strings.Contains(files["objects/services.yaml"], "lanlord.io/ip-allocated-from-pool: lan") {
		t.Error("an annotation of Lanlord is left out")
	}
}

// TestDumpNamesMissingRights has users with few rights write a bundle. The bundle must have everything that the users
// may read, and name the missing rights.
func TestDumpNamesMissingRights(t *testing.T) {
	for name, want := range map[string][]string{
		"viewer":          {"logs/: the right to get pods/log in lanlord-system is missing"},
		"namespace-admin": {"the right to list services in the cluster is missing, so the bundle has the namespace default only", "objects/nodes.yaml: the right to list nodes is missing"},
	} {
		w := scenarioOf(t, name)
		w.denied = append(w.denied, "get pods/log")
		var stdout, stderr bytes.Buffer
		if status := w.start(t.Context(), &stdout, &stderr, "dump", "-f", "-"); status != exitOK {
			t.Fatalf("%s: exit status %d: %s", name, status, stderr.String())
		}
		files := unpacked(t, stdout.Bytes())
		for _, line := range want {
			if !strings.Contains(files["README.txt"], line) || !strings.Contains(stderr.String(), line) {
				t.Errorf("%s: the bundle does not say %q:\n%s\n%s", name, line, files["README.txt"], stderr.String())
			}
		}
		if !strings.Contains(files["objects/services.yaml"], "name: web") {
			t.Errorf("%s: the bundle lacks the Services", name)
		}
	}
}

// TestRedactor checks texts with and without secrets.
func TestRedactor(t *testing.T) {
	var r redactor
	for text, want := range map[string]string{
		"password-secret: bgp\npassword: abc\n":        "password: (left out)\npassword-secret: bgp\n",
		"peers:\n- password: 12345\n  peer-asn: 64512": "peers:\n- password: (left out)\n  peer-asn: 64512\n",
		"secret: {name: x}\n":                          "secret:\n  name: x\n",
		"- : [":                                        "# left out: the text is no YAML, so a secret could not be told from the rest\n",
		"token: \"\"\n":                                "token: \"\"\n",
	} {
		if got := r.document(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
	for _, harmless := range []string{
		"password=true", `"address":"192.0.2.1"`, "https://example.com/a:b", "the token is in the Secret lanlord-viewer", "pods/log", "basic auth",
	} {
		if got := string(r.redact([]byte(harmless))); got != harmless {
			t.Errorf("%q becomes %q", harmless, got)
		}
	}
	if !slices.Contains(r.known, "12345") || slices.Contains(r.known, "abc") {
		t.Errorf("the known secrets are %q", r.known)
	}
}

// FuzzRedactor checks that no document keeps the value of a password, and that the rest of a bundle does not either.
func FuzzRedactor(f *testing.F) {
	f.Add("a: b\n", "hidden-1")
	f.Add("- x\n- {y: z}\n", "a\"b'c: d")
	f.Fuzz(func(t *testing.T, rest, secret string) {
		quoted, err := json.Marshal(secret)
		if err != nil || len(strings.TrimSpace(secret)) < 6 || strings.Contains(leftOut+"password# left out: the text is no YAML, so a secret could not be told from the rest", strings.TrimSpace(secret)) ||
			strings.Contains(rest, strings.TrimSpace(secret)) || strings.ContainsRune(secret, '\uFFFD') {
			return
		}
		var r redactor
		text := r.document("password: " + string(quoted) + "\nrest:\n" + rest)
		if strings.Contains(text, secret) {
			t.Errorf("%q of %q is in %q", secret, rest, text)
		}
	})
}
