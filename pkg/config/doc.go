// Package config parses the text of the ConfigMap into a typed, validated configuration, or reports all errors in the
// text.
package config
