// Package allocator decides which Service gets which address from which pool, and gives the reason for each Service
// without an address.
//
// An Allocator is made from the configuration and works in rounds. In each round, the caller first reports the held
// addresses (Adopt, Leave), and then asks for the missing addresses (Assign). Between rounds, the caller may settle
// Services (Settle, Release). No address becomes free within a round. Therefore one forward-only cursor for each pool
// and family finds the next free address in constant time on average, for pools of any size. An Allocator uses no clock
// and is not safe for concurrent use.
package allocator
