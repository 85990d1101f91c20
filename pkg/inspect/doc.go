// Package inspect explains the state of Lanlord in a cluster to a person. The package makes reports from data that was
// gathered at one moment. Each report can be written as JSON and as text.
//
// A Cluster holds the gathered data, from the API server and from the processes of Lanlord. All functions work on
// values and ask nobody: the same Cluster gives the same report. A Gap names data that could not be gathered. Reports
// show such data as unknown, and never treat missing data as an answer.
package inspect
