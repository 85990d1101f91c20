// Package inspect explains a cluster's Lanlord to a person: from what was gathered of it at one moment it makes reports, each of
// which has one shape as JSON and one as text.
//
// A Cluster is what was gathered, from the API server and from the processes themselves. All functions are of values: they ask
// nobody, and the same Cluster gives the same report. What could not be gathered is a Gap, and no report takes its absence for
// an answer.
package inspect
