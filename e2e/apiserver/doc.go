// Package apiserver stands in for a Kubernetes API server, as far as the speakers need one: it lists and watches objects as
// client-go's reflectors ask, takes Events, and patches the status of Pods. It checks nothing that is written, knows no
// users, and forgets everything when it ends.
package apiserver
