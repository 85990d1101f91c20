// Package election selects the owner of an address among candidate nodes.
//
// The package uses rendezvous hashing: each pair of an address and a node has a score, and the node with the highest
// score owns the address. So all speakers with the same candidates select the same owner without communication. If a
// node that owns nothing leaves, no address moves. A new node takes over its share and nothing else.
//
// A weight, such as the weight of a preferred node, takes precedence over the score.
//
// The scores are a contract between speakers of different versions: if the scores changed, an address would have two
// owners during a rolling update.
package election
