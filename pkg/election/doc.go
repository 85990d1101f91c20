// Package election says which one of several candidate nodes owns an address.
//
// It is rendezvous hashing: each pair of an address and a node has a score, and the node with the highest score owns the
// address. So every speaker that knows the same candidates names the same owner without a word to the others, a node that
// owns nothing can go without anything moving, and a node that comes takes over its share and no more.
//
// A weight, such as that of a preferred node, goes before the score.
//
// The scores are a contract between speakers of different versions: were they to change, a rolling update would have two
// owners for an address.
package election
