// Package reason names every reason for which an address is not assigned, not announced or not eligible.
//
// Each reason is a typed value. Its String is one word in CamelCase, the same in conditions, Events, logs, metrics and
// JSON; a program that reads the word parses it back into the value. Messages are for people only: no code reads them.
package reason
