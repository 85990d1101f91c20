// Package apiserver stands in for a Kubernetes API server, as far as the controller and the speakers need one: it lists and
// watches objects as client-go's reflectors ask, creates, replaces and patches them, and refuses what was meant for another
// version. It validates nothing and knows no users, and forgets everything when it ends. It can be made slow, and to refuse or
// fail requests, to end watches, and to forget the past.
package apiserver
