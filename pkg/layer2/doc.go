// Package layer2 answers for the set of addresses it is given: ARP, NDP, announcements, conflicts and link changes.
//
// # From Set to the wire
//
// [Announcer.Set] stores the whole set and rings a bell; nothing else happens in the caller. The loop in [Announcer.Run]
// takes the newest set and the newest list of interfaces, decides which address belongs on which interface (plan), and
// gives each interface's port an immutable table. From there a value takes two ways:
//
//   - the packet readers load the table once for each frame and look the address up, so an address is answered from the
//     moment the table is stored, and no longer answered from the moment the next one is;
//   - the port's own goroutine compares the new table with the last, joins and leaves multicast groups, starts the
//     schedule of announcements for what is new and drops what is gone.
//
// A set, or a list of interfaces, that equals the last one ends in the loop: no table is stored and no frame is sent.
//
// [Announcer.Probe] runs on its caller's goroutine. It gives its questions to the ports, which send them as the rate allows, and
// gets what the packet readers hear of the address through a channel that they never wait for.
//
// # Who owns what
//
//	Announcer.Run   the targets, the ports, the published list of interfaces
//	Network.Watch   what the kernel says about links and addresses; told to the loop as a whole list
//	port.run        one for each interface that is up: schedule, token bucket, multicast groups, announcements
//	socket.run      one for each interface and protocol: opens the socket, reads and answers, opens it again after a failure
//	Announcer.hear  the rate limit on claims; the only caller of Options.Heard
//
// Bells are channels of capacity one that are rung without blocking. Tables, lists of interfaces and sets of targets are
// never changed after they were published. No goroutine outlives Run.
package layer2
