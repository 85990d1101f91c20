// Package allocator says which Service gets which address of which pool, and if none, why.
//
// An Allocator serves one round of decisions and is then thrown away: it is made from the configuration, told which
// addresses are held already (Adopt, Leave), and then asked for the missing ones (Assign). Nothing becomes free within a
// round, which is why one forward-only cursor for each pool and family finds the next free address in constant time on
// average, however large the pool is. It knows no clock and is not safe for concurrent use.
package allocator
