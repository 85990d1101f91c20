// Package layer2 answers for a set of addresses: ARP, NDP, announcements, conflicts and link changes.
//
// # From Set to the wire
//
// [Announcer.Set] stores the whole set, wakes the loop and returns. The loop in [Announcer.Run] takes the newest set
// and the newest state of the host, assigns addresses to interfaces (plan), and gives the port of each interface an
// immutable table. If several interfaces belong to one network, one interface serves and the others stand by. Two parts
// use the table:
//
//   - The packet readers load the table once for each frame and look up the address. An address is answered as soon as
//     its table is stored, and no longer answered as soon as the next table without the address is stored.
//   - The goroutine of the port compares the new table with the previous table, joins and leaves multicast groups,
//     starts the schedule of announcements for new addresses and drops removed addresses.
//
// If a set or a state of the host equals the previous value, the loop stores no table and sends no frame.
//
// [Announcer.Probe] runs on the goroutine of the caller. Probe hands the questions to the ports, and the ports send the
// questions as the rate allows. The packet readers pass received frames about the address to Probe through a channel.
// The packet readers never wait for the channel.
//
// [Station.Ask] costs less: the caller sends the question itself, and the packet reader notes only the time of the
// answer. No other goroutine wakes. Ask sends nothing when frames wait for the rate. [Heartbeats] cost less still: a
// received heartbeat waits in a socket that the poller of the runtime does not know.
//
// # Ownership
//
//	Announcer.Run   the targets, the ports, the published state of the host
//	Network.Watch   the links and addresses of the kernel; passed to the loop as a whole state
//	port.run        one for each interface that is up: schedule, token bucket, multicast groups, announcements
//	socket.run      one for each interface and protocol: opens the socket, reads and answers, reopens after a failure
//	Announcer.hear  the rate limit on claims; the only caller of Options.Heard
//	pulse.run       the watchdog for stalls, the heartbeats received, and the functions of Announcer.OnBeat
//
// Goroutines wake each other through channels of capacity one and non-blocking sends. Tables, states of the host and
// sets of targets never change after publication. No goroutine outlives Run.
package layer2
