// Package bench measures what routers and clients notice of the speakers' BGP: how long routes take to go and to come, what is lost
// meanwhile, and what it costs. The routers are FRR and BIRD in the laboratory of package wire.
package bench
