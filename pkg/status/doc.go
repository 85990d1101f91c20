// Package status is the shape of what the controller and the speakers tell of themselves: the JSON of `controller status`,
// `speaker status` and /status.json.
//
// All of it is plain values. Fields are added, and none is renamed, removed or given another meaning while Format stays the
// same. Times are RFC 3339 in UTC; a time that is not known is left out. Lists that are empty are empty and not null. Words
// like reasons are the same as in Events, conditions, metrics and logs.
package status
