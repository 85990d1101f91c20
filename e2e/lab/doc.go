// Package lab gives a test the laboratory that cluster.sh sets up: the cluster, its
// nodes, and the client outside it.
//
// A Lab belongs to one test and fails it when the laboratory itself does not obey;
// its methods may be called from the test's goroutine only. What a test breaks
// through a Lab (a dead node, a cut link) is mended when the test ends. Nodes are
// mended one at a time, and no container may be started while a node is dead: Docker
// would hand the node's address to it.
package lab
