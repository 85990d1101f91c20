// Package command has what the programs of the laboratory share.
package command
