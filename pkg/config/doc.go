// Package config turns the text of the ConfigMap into a typed, validated configuration, or into all that is wrong with it.
package config
