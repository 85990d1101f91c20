// Package reason names every reason for which an address is not assigned, not announced or not eligible.
//
// Each reason is a typed value. String returns one word in CamelCase, the same in conditions, Events, logs, metrics and
// JSON; programs parse the word back into the value. Messages are for people only: no code reads messages.
package reason
