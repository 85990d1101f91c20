package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// leftOut stands for a removed text.
const leftOut = "(left out)"

// shortestSecret is the length of a secret from which the redactor removes the secret everywhere. A shorter text occurs
// by chance.
const shortestSecret = 4

// redactor removes secrets from texts: the known secrets, and what looks like one. The zero redactor knows no secret.
type redactor struct{ known []string }

// secretKeys matches the keys of a document whose values are secrets. Keys that name a Secret do not match.
var secretKeys = regexp.MustCompile(`(?i)(^|[-_.])(password|passwd|passphrase|token|api-?key|auth-?key|private-?key|credentials?)$|^secret$|(client|shared)[-_]?secret$|Password$|Token$|secretKey$`)

// secretNames matches the names of environment variables whose values are secrets.
var secretNames = regexp.MustCompile(`(?i)(PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|KEY|CREDENTIALS?)$`)

// secretTexts matches texts that are secrets in any place: PEM blocks with private keys, JSON Web Tokens, and the
// credentials of an HTTP header or of a URL.
var secretTexts = regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\z)` +
	`|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(\.[A-Za-z0-9_-]*)?` +
	`|(?i:\b(bearer|basic) +[A-Za-z0-9+/=._~-]{8,})` +
	`|//[^/\s:@"']+:[^/\s@"']+@`)

// secretFields matches a key with a secret and its value in a text that is no document, such as a line of a log.
var secretFields = regexp.MustCompile(`(?i)\b([a-z0-9_.-]*(?:password|passwd|passphrase|secret[-_]?key|token|api[-_]?key|auth[-_]?key|private[-_]?key))("?\s*[=:]\s*)("(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;}"']+)`)

// keep remembers a secret, so that redact removes the secret everywhere, also in base64.
func (r *redactor) keep(secret string) {
	secret = strings.TrimSpace(secret)
	if len(secret) < shortestSecret || secret == leftOut || isBoolean(secret) {
		return
	}
	for _, text := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret))} {
		if !slices.Contains(r.known, text) {
			r.known = append(r.known, text)
		}
	}
	slices.SortFunc(r.known, func(x, y string) int { return len(y) - len(x) }) // the longest first
}

// redact returns a text without secrets.
func (r *redactor) redact(text []byte) []byte {
	for _, secret := range r.known {
		text = bytes.ReplaceAll(text, []byte(secret), []byte(leftOut))
	}
	text = secretTexts.ReplaceAll(text, []byte(leftOut))
	return secretFields.ReplaceAllFunc(text, func(match []byte) []byte {
		parts := secretFields.FindSubmatch(match)
		if bytes.Contains(parts[3], []byte(leftOut)) || isBoolean(string(parts[3])) {
			return match
		}
		return slices.Concat(parts[1], parts[2], []byte(leftOut))
	})
}

func isBoolean(text string) bool { return text == "true" || text == "false" || text == "null" }

// document returns a YAML document without the values of secret keys, and without comments, which may contain secrets
// too. The redactor remembers the secrets. A document that is not valid may hide a secret anywhere, so document returns
// only a sentence for it.
func (r *redactor) document(text string) string {
	asJSON, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return "# left out: the text is no YAML, so a secret could not be told from the rest\n"
	}
	var tree any
	if err := json.Unmarshal(asJSON, &tree); err != nil {
		return "# left out: the text could not be read\n"
	}
	tidy, err := yaml.Marshal(r.tree(tree))
	if err != nil {
		return "# left out: the text could not be written\n"
	}
	return string(tidy)
}

// tree replaces the values of secret keys in a decoded document.
func (r *redactor) tree(node any) any {
	switch node := node.(type) {
	case map[string]any:
		for key, value := range node {
			if text := fmt.Sprint(value); value != nil && secretKeys.MatchString(key) && isScalar(value) && text != "" {
				r.keep(text)
				node[key] = leftOut
				continue
			}
			node[key] = r.tree(value)
		}
	case []any:
		for i := range node {
			node[i] = r.tree(node[i])
		}
	}
	return node
}

func isScalar(value any) bool {
	switch value.(type) {
	case string, float64, int64, json.Number:
		return true
	}
	return false
}
