// Package status defines the status of the controller and the speakers as JSON: the output of `controller status` and
// `speaker status`, and the file /status.json.
//
// All types are plain values. While Format stays the same, new versions only add fields: they do not rename or remove a
// field, and do not change the meaning of a field. Times are RFC 3339 in UTC; an unknown time is left out. An empty
// list is empty and not null. Words like reasons are the same as in Events, conditions, metrics and logs.
package status
