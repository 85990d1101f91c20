// Package bench measures the speakers' BGP at the routers and at clients behind them: the time until a route goes or
// comes, lost datagrams, messages and memory. The routers are FRR and BIRD in the laboratory of package wire.
package bench
