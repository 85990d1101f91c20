// Package handover hands the place of one node over from the running process to its follower, so that an update of the
// program moves no address. A place comprises the addresses that the process answers for, the gossip members that the
// process knows, the sessions with routers, and the message to take over.
//
// Both processes run on one host, in one network namespace. The holder listens on an abstract Unix socket (unix(7)). An
// abstract socket lives exactly as long as the process, only in the network namespace, and leaves nothing on a disk.
// Each process checks that the other process runs as the same user. The processes speak JSON, one message a line. Each
// message carries the version of this protocol. A process ignores unknown fields, so an optional field needs no new
// version.
//
// # Sequence
//
// A holder H has the place, and the process F starts on the same host.
//
//  1. F calls Begin. Without a holder, F becomes the holder, and there is nothing to take over. Otherwise F becomes the
//     follower: F reads the cluster and opens all its sockets except the gossip sockets, because H still has the
//     gossip port.
//  2. H calls Set whenever the addresses, the members or the configuration in use change. F receives the newest place
//     from Places and answers for its addresses with the same MAC. F does not announce the addresses, because nothing
//     changes for the hosts of the LAN. F uses Place.Members as the current members. When the sockets of F answer for
//     all addresses of an offer, F calls Answering with the offer. From here on both processes answer. The answers are
//     equal, so they do no harm.
//  3. F reports ready (readiness probe) only after its first Answering. Therefore the update stops H only now.
//  4. H receives the signal to stop. If Followed reports false, H leaves in the ordinary way: the other nodes take
//     over, and F sees Vanished. Otherwise H stops making decisions, calls Set for the last time, closes its gossip
//     sockets without leaving the gossip, and only then calls HandOver: for F, the message to take over means that the
//     gossip port is free. HandOver waits until F has acknowledged the last place, so that F is known to listen, and
//     only then calls detach: H stops reading and writing its sessions with routers (BGP, BFD). HandOver sends the
//     sockets by SCM_RIGHTS, each session in its own message, and then the final place. The gossip is silent during
//     steps 4 to 7. The sessions are silent from detach to step 5, for a few milliseconds; a router with BFD waits for
//     at most three intervals of perhaps 50 ms. Therefore the gossip closes first and the sessions last.
//  5. F receives the final Offer with the sessions, and adopts the sessions at once, before any other work. When F
//     answers for all addresses of the offer, F calls Answering. F changes nothing else until its Run has returned.
//  6. HandOver receives the acknowledgement, closes the name, then the connection, and returns nil. H stops answering
//     and exits, without a message to the LAN or the gossip.
//  7. Run of F returns, and End returns HandedOver. F calls Begin again and becomes the holder. F starts gossip under
//     the same member name, in the state of H (ready), with Place.Members as the peers to join. From step 4 to here the
//     node has had no gossip for some milliseconds; the peers wait for one second before they react. Then F runs Serve
//     and makes its own decisions.
//
// # Failures
//
//   - H dies: Run of F returns, and End returns Vanished. F continues with step 7 and the last offer. F already answers
//     for the last offer.
//   - F dies: Followed of H reports false, and nothing else happens. If F dies between steps 5 and 6, HandOver returns
//     ErrGone: H has no gossip, so H stops answering and exits, and the other nodes take over as after a crash. H still
//     has its descriptors of the sessions, and no other process has them, so H resumes the sessions and ends them in
//     the ordinary way.
//   - F does not acknowledge within the ctx of HandOver: H does the same. If F lives, F continues with step 7 as soon
//     as H has exited. H resumes the sessions only if detach was not called: F may have adopted the sessions, and two
//     processes must never write to one connection.
//   - H dies after sending sessions and before the message to take over: F sees Vanished and adopts the sessions that
//     have arrived.
//   - F takes no sessions (the hello of F shows an older version), or H has no sessions to give: H sends no files, and
//     the kernel closes the connections of H when H exits. The routers keep the routes for the time of graceful
//     restart, and F connects anew.
//   - A file is lost on the way, because F has no free descriptors: Lost of F returns the reason, and F makes the
//     session anew.
//   - Another F connects: the new follower replaces the former follower. Run of the former follower returns, and End
//     returns Replaced. The former follower must stop answering and exit.
//   - The processes do not understand each other (Begin returns an error such as ErrVersion or ErrRefused, or End
//     returns Broken): F answers for no address, reports ready, so that the update continues, and calls Begin again
//     once a second until H has left in the ordinary way. If the ctx of Begin has ended, H hangs: F calls Begin again
//     in the same way, but does not report ready.
//   - Two processes find no holder at the same time: one process gets the name, and Begin makes the other process its
//     follower.
//
// # Concurrency
//
// Any goroutine may call Set, Followed and Answering. These methods never wait for the other process. Serve and Run
// own the connections. Every call that waits ends with its context. The receiver of an Offer owns the files of the
// Offer.
package handover
