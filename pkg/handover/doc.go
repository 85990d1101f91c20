// Package handover passes one node's place from the process that holds it to the process that is to follow, so that an update
// of the program moves nothing: what the holder answers for, whom it knows, its sessions with routers, and the word to go.
//
// Both are on one host, in one network namespace. The holder listens on an abstract Unix socket (unix(7)), which lives exactly as
// long as the process and only in that namespace; nothing is left on a disk. Each side checks that the other runs as the same
// user. They speak JSON, one message a line, each with the version of this protocol. Each side ignores fields that it does not know, so a
// field that the other side can do without needs no new version.
//
// # Who does what when
//
// A holder H is in place, and the process S is started beside it.
//
//  1. S calls Begin. Without a holder it is the holder itself, and there is nothing to take over. Otherwise it is the successor: it
//     opens all its sockets but those of gossip, whose port H still has, and reads the cluster.
//  2. H calls Set whenever the addresses, the members or the configuration in use change. S receives the newest from Places, answers for those
//     addresses with the same MAC, without announcing them, since the hosts of the LAN need learn nothing; it takes
//     Place.Members for the members there are. When its sockets answer for all of an offer it calls Answering with it.
//     From here on both answer, and it does no harm: the answers are equal.
//  3. After its first Answering S is ready for whoever asks (its readiness probe), and not before. The update therefore stops H only now.
//  4. H is told to stop. If Successor reports false it leaves in the ordinary way: the other nodes take over, and S sees
//     Vanished. Otherwise it decides nothing any more, calls Set for the last time, closes its gossip sockets without taking
//     leave, and only then calls HandOver, for S takes the word to go as: the gossip port is free. HandOver waits until S has
//     acknowledged the last place, so that S is known to listen, and only then calls detach: H stops reading and writing its
//     sessions with routers (BGP, BFD). The sockets follow by SCM_RIGHTS, each session in a message of its own, and then the final place.
//     Gossip is silent for the time of 4 to 7, and the sessions for the time of detach to 5: a few milliseconds, because a router with BFD
//     waits no longer than three intervals of perhaps 50 ms. So gossip closes first and the sessions last.
//  5. S receives the final Offer with the sessions and adopts them at once, before anything else. When it answers for all of the offer, it calls
//     Answering. S changes nothing else until its Run has returned.
//  6. HandOver has the acknowledgement: H closes the name, then the connection, and HandOver returns nil. H stops answering and
//     exits, without a word on the wire or in gossip.
//  7. Run of S returns, and End says HandedOver. S calls Begin again and is the holder now: it starts gossip under the same member name, in the state
//     that H had (ready), with Place.Members as the peers to join. From 4 to here the node has no gossip, for some milliseconds; the
//     peers hold still for a second. Then S runs Serve and decides for itself.
//
// When it goes otherwise:
//
//   - H dies: Run of S returns with Vanished. S goes on as in 7 with the last offer, which it answers for already.
//   - S dies: Successor of H reports false, and nothing else happens. If it dies between 5 and 6, HandOver returns ErrGone: H
//     has no gossip, so it stops answering and exits, and the other nodes take over as after a crash. H still has its descriptors of the
//     sessions. No other process has them any more, so H resumes the sessions and ends them in the ordinary way.
//   - S does not acknowledge within the ctx of HandOver: the same; and if S lives, it goes on as in 7 as soon as H has exited. H resumes the
//     sessions only if detach was not called: S may have adopted them, and two processes must never write into one connection.
//   - H dies after it has sent sessions and before the word to go: S adopts the sessions that it has, with Vanished.
//   - S takes no sessions (it is of an older version, as its hello shows) or H has none to give: no file is sent, and the kernel closes the
//     connections of H when H exits. The routers keep the routes for the time of graceful restart, and S connects anew.
//   - A file is lost on the way, because S has no free descriptors: Lost of S says so, and S makes that session anew.
//   - Another S connects: it takes the place of the one before, whose Run returns with Replaced. That one must answer no more and end.
//   - The two cannot understand each other (Begin returns an error such as ErrVersion or ErrRefused, or End is Broken): S answers
//     for nothing, reports ready, so that the update goes on, and calls Begin again, once a second, until H has left in the
//     ordinary way. It waits likewise when the ctx of Begin has ended, since H hangs then, but it does not report ready.
//   - Two processes find nobody at once: one of them gets the name, and Begin makes the other its successor.
//
// # Concurrency
//
// Set, Successor and Answering may be called from any goroutine and never wait for the other side. Serve and Run own the
// connections. All that waits ends with its context. The files of an Offer belong to its receiver.
package handover
