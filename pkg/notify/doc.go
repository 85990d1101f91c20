// Package notify turns changes of ownership into as few Kubernetes Events as possible.
//
// A Notifier gathers what happened to addresses until a second is quiet, by cause and by the node that had them before. Up to ten Services
// get an Event each; of more the Node gets one. Events tell of changes only, never of a state that goes on. A Notifier belongs to one
// goroutine.
package notify
