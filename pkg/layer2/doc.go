// Package layer2 answers for the set of addresses it is given: ARP, NDP, announcements, conflicts and link changes.
//
// # From Set to the wire
//
// [Announcer.Set] stores the whole set and wakes the loop; it does nothing else in the caller. The loop in [Announcer.Run] takes
// the newest set and the newest state of the host, decides which address belongs on which interface (plan), and gives the port of
// each interface an immutable table. Of several interfaces in one network, one serves and the others stand by. The table is used in
// two places:
//
//   - The packet readers load the table once for each frame and look the address up. So an address is answered from the
//     moment its table is stored, and no longer answered from the moment the next table without it is stored.
//   - The goroutine of the port compares the new table with the last, joins and leaves multicast groups, starts the schedule of
//     announcements for new addresses and drops addresses that are gone.
//
// A set, or a state of the host, that equals the last one ends in the loop: the loop stores no table and sends no frame.
//
// [Announcer.Probe] runs on the goroutine of its caller. It hands its questions to the ports, which send them as the rate allows,
// and receives what the packet readers hear of the address through a channel. The packet readers never wait for that channel.
//
// # Ownership
//
//	Announcer.Run   the targets, the ports, the published state of the host
//	Network.Watch   what the kernel says about links and addresses; told to the loop as a whole state
//	port.run        one for each interface that is up: schedule, token bucket, multicast groups, announcements
//	socket.run      one for each interface and protocol: opens the socket, reads and answers, opens it again after a failure
//	Announcer.hear  the rate limit on claims; the only caller of Options.Heard
//
// Goroutines wake each other through channels of capacity one and non-blocking sends. Tables, states of the host and sets of targets
// are never changed after they were published. No goroutine outlives Run.
package layer2
